"""Who is in a data set: what a split may go by."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.readers.specs import RawCase
from contrastseg.errors import SplitError


@dataclasses.dataclass(frozen=True)
class Cohort:
    """The patients of a data set, with what the publisher and the data set say of their cases.

    Attributes:
        cases: (case, patient, part, stratum) of every case with a label; part and stratum are empty where there is
            none.
        bare: (case, patient) of every case without a label. No split and no label budget goes by these.
    """

    cases: tuple[tuple[str, str, str, str], ...]
    bare: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_raw(cls, cases: Iterable[RawCase]) -> Cohort:
        """Of a data set as published."""
        raw_cases = list(cases)
        rows = [(raw.case, raw.patient, raw.part or "", raw.stratum) for raw in raw_cases if raw.labelled]
        return cls(tuple(rows), tuple((raw.case, raw.patient) for raw in raw_cases if not raw.labelled))

    @classmethod
    def of_prepared(cls, dataset: PreparedDataset) -> Cohort:
        """Of a prepared data set."""
        labelled, bare = dataset.index[dataset.index["labelled"]], dataset.index[~dataset.index["labelled"]]
        rows = labelled[["case", "patient", "part", "stratum"]].itertuples(index=False, name=None)
        return cls(tuple(rows), tuple(bare[["case", "patient"]].itertuples(index=False, name=None)))

    @property
    def patients(self) -> list[str]:
        """Every patient with a label, sorted."""
        return sorted({patient for _, patient, _, _ in self.cases})

    @property
    def unlabelled(self) -> list[str]:
        """Every patient without any label, sorted: all their images may be trained on, in every fold."""
        return sorted({patient for _, patient in self.bare} - set(self.patients))

    def unlabelled_cases(self, patients: Iterable[str]) -> list[str]:
        """The cases without a label that may be trained on when these patients train: theirs, and `unlabelled`'s."""
        allowed = {*patients, *self.unlabelled}
        return [case for case, patient in self.bare if patient in allowed]

    def parts(self) -> dict[str, str]:
        """Where the publisher put each patient.

        Raises:
            SplitError: A case has no part, or a patient's cases are in two.
        """
        for case, _, part, _ in self.cases:
            if not part:
                raise SplitError(
                    "the publisher's split lacks this case",
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
        value_of: dict[str, str] = {}
        for case, patient, _, _ in sorted(self.cases):
            if value_of.setdefault(patient, values[case]) != values[case]:
                raise SplitError(
                    f"patient {patient} is in two {what}: {value_of[patient]!r} and {values[case]!r}",
                    case=case,
                    remedy=remedy,
                )
        return value_of
