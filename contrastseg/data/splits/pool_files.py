"""A pre-training pool as a file: every case used with the hash of its image, every case left out with the reason.

What pre-training without labels may see beyond its own training patients. Training reads it, and refuses it when a test
case is inside or the data is no longer the one it was made from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.errors import PoolError
from contrastseg.files import digest, read_json, wrap_parse_errors


@dataclasses.dataclass(frozen=True)
class PoolCase:
    """One case of a pool, or one that it must not hold.

    Attributes:
        entry: The suite's name for the data set.
        dataset: The data set; cases of one patient of one data set show the same person under any entry.
        case: Name in the data set.
        patient: Whom it shows.
        image: SHA-256 of the native image (`PreparedDataset.image_hash`), the same under whatever name.
    """

    entry: str
    dataset: str
    case: str
    patient: str
    image: str


@dataclasses.dataclass(frozen=True)
class Pool:
    """What the stages without labels of one entry draw from in one fold.

    Attributes:
        entry: Whose stages.
        fold: In which fold.
        sources: The entries it was drawn from.
        used: Its cases.
        left_out: Every other case of the sources, with the reason: {entry, case, image, reason}.
        tests: What the suite is tested on in this fold.
        hash: Of the cases used, in their order.
        file: Where it was read.
    """

    entry: str
    fold: int
    sources: tuple[str, ...]
    used: tuple[PoolCase, ...]
    left_out: tuple[Mapping[str, str], ...]
    tests: tuple[PoolCase, ...]
    hash: str
    file: Path

    @classmethod
    def from_file(cls, path: str | Path) -> Pool:
        """Read and check a pool.

        Raises:
            PoolError: It is no pool, the hash does not fit the cases, or a test case is inside.
        """
        with wrap_parse_errors(path, PoolError, "make the pool again"):
            pool = TypeAdapter(cls).validate_python({**read_json(path), "file": Path(path)})
        if pool_hash(pool.used) != pool.hash:
            raise PoolError(
                "the hash does not fit the cases", file=path, remedy="delete the file and run `contrastseg pool` again"
            )
        pool.refuse(pool.tests)
        return pool

    def refuse(self, tests: Iterable[PoolCase]) -> None:
        """Check that none of these test cases is inside, under any name.

        Raises:
            PoolError: One is.
        """
        reasons = Tested(tests)
        for case in self.used:
            if reason := reasons.why_not(case):
                raise PoolError(
                    f"a test case is inside the pre-training pool: {reason}",
                    case=f"{case.entry}/{case.case}",
                    file=self.file,
                    remedy="delete the file and run `contrastseg pool` again",
                )

    def check(self, datasets: Mapping[str, PreparedDataset]) -> None:
        """Check that the cases are still those the pool was made of.

        Args:
            datasets: The prepared data of every source.

        Raises:
            PoolError: A case is gone, or its image is another.
        """
        cases_of = {dataset.info.entry: set(dataset.cases) for dataset in datasets.values()}
        for case in self.used:
            if (
                case.case not in cases_of.get(case.entry, ())
                or datasets[case.entry].image_hash(case.case) != case.image
            ):
                raise PoolError(
                    "the prepared data is not the one this pool was made of",
                    case=f"{case.entry}/{case.case}",
                    file=self.file,
                    remedy="delete the file and run `contrastseg pool` again",
                )

    def cases_of(self, entry: str) -> list[str]:
        """The cases used of one source, in order."""
        return [case.case for case in self.used if case.entry == entry]


class Tested:
    """Answers whether a case is, or shows the same as, one that is tested on."""

    def __init__(self, tests: Iterable[PoolCase]) -> None:
        self._images: dict[str, PoolCase] = {}
        self._patients: dict[tuple[str, str], PoolCase] = {}
        for test in tests:
            self._images.setdefault(test.image, test)
            self._patients.setdefault((test.dataset, test.patient), test)

    def why_not(self, case: PoolCase) -> str | None:
        """The reason why a case must not be seen; None when it may be."""
        if test := self._patients.get((case.dataset, case.patient)):
            return f"patient {case.patient} of {case.dataset} is tested on in {test.entry}"
        if test := self._images.get(case.image):
            return f"the image of test case {test.entry}/{test.case}"
        return None


def pool_cases(entry: str, dataset: PreparedDataset, cases: Iterable[str]) -> list[PoolCase]:
    """These cases of a prepared data set with their images' hashes."""
    name = dataset.info.dataset
    return [PoolCase(entry, name, case, dataset.patient(case), dataset.image_hash(case)) for case in cases]


def pool_hash(used: Iterable[PoolCase]) -> str:
    """16 hex digits over the cases used, in order."""
    return digest([[case.entry, case.case, case.image] for case in used])


def check_fits(own: PreparedDataset, other: PreparedDataset, spatial_dims: int) -> None:
    """Check that images of another data set can be shown to a network made for this one.

    Args:
        own: The data the network is made for.
        other: The data that is to join it.
        spatial_dims: What the network sees.

    Raises:
        PoolError: Other channels, or photographs for a network that sees volumes.
    """
    theirs, ours = other.in_channels, own.in_channels
    if theirs != ours:
        raise PoolError(
            f"images of {other.info.entry} have {theirs} channels, those of {own.info.entry} have {ours}",
            file=other.folder,
            remedy="leave it out of the pool",
        )
    if spatial_dims > other.info.spatial_dims:
        raise PoolError(
            f"{other.info.entry} has no volumes, and the network sees volumes",
            file=other.folder,
            remedy="leave it out of the pool",
        )
