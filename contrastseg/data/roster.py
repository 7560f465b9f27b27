"""Who is in a data set: what a split may go by."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from contrastseg.data.cases import PreparedDataset
from contrastseg.data.specs import RawCase
from contrastseg.errors import SplitError


@dataclasses.dataclass(frozen=True)
class Roster:
    """The patients of a data set, with what the publisher and the data set say of their cases.

    Attributes:
        cases: (case, patient, part, stratum) of every case; part and stratum are empty where there is none.
    """

    cases: tuple[tuple[str, str, str, str], ...]

    @classmethod
    def of_raw(cls, cases: Iterable[RawCase]) -> Roster:
        """Of a data set as published."""
        return cls(tuple((raw.case, raw.patient, raw.part or "", raw.stratum) for raw in cases))

    @classmethod
    def of_prepared(cls, dataset: PreparedDataset) -> Roster:
        """Of a prepared data set."""
        rows = dataset.index[["case", "patient", "part", "stratum"]].itertuples(index=False, name=None)
        return cls(tuple(rows))

    @property
    def patients(self) -> list[str]:
        """Every patient, sorted."""
        return sorted({patient for _, patient, _, _ in self.cases})

    def parts(self) -> dict[str, str]:
        """Where the publisher put each patient.

        Raises:
            SplitError: A case has no part, or a patient's cases are in two.
        """
        for case, _, part, _ in self.cases:
            if not part:
                raise SplitError(
                    "the publisher put this case into no part",
                    case=case,
                    remedy="name another split than 'official'",
                )
        return self._of_patients({case: part for case, _, part, _ in self.cases}, "parts", "name another split")

    def strata(self) -> dict[str, str]:
        """What each patient's group is that random splits keep in proportion.

        Raises:
            SplitError: A patient's cases are of two strata.
        """
        remedy = "let the data set name one stratum a patient"
        return self._of_patients({case: stratum for case, _, _, stratum in self.cases}, "strata", remedy)

    def _of_patients(self, values: dict[str, str], what: str, remedy: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for case, patient, _, _ in sorted(self.cases):
            if found.setdefault(patient, values[case]) != values[case]:
                raise SplitError(
                    f"patient {patient} is in two {what}: {found[patient]!r} and {values[case]!r}",
                    case=case,
                    remedy=remedy,
                )
        return found
