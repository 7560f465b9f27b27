"""What is no fault of a data set but worth knowing before training on it."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from contrastseg.data.files.placement import LARGEST_SHIFT, NiftiHeader, shift
from contrastseg.data.prepare.checks import has_foreground
from contrastseg.data.prepare.slicing import slice_axis, thick_axis
from contrastseg.data.readers.specs import DatasetSpec

OUTLIER = 3.0  # this many times the median, or that small a part of it
FEW_PATIENTS = 10
OF_ALL = ("few", "unlabelled", "absent class")
"""Kinds of warnings that count all cases, and mislead where some could not be read."""
# Air is at -1000 HU; a CT whose lowest value lies above this was clipped, shifted or rescaled.
_LOWEST_HU = -500
# Names of one patient's visits: what a time, a session or a repeat is called, or a second number.
_VISIT = re.compile(
    r"(.+?)[_-](?:(?:visit|v|t|tp|time|timepoint|scan|session|ses|exam|day|week|month|fu|run|rep)[_-]?\d+"
    r"|pre|post|baseline|followup|before|after|[a-d])",
    re.IGNORECASE,
)
_SECOND_NUMBER = re.compile(r"(.*\d)[_-]\d{1,2}")


@dataclasses.dataclass(frozen=True)
class CaseFacts:
    """What is kept of a case once its arrays are gone.

    Attributes:
        case: Its name.
        patient: Whom it shows.
        shape: Spatial shape, in array order.
        spacing: In array order; None where it is unknown.
        affine: 4x4, None where there is none.
        ranges: Lowest and highest finite value of each channel.
        image_hash: Of shape and values, see `NativeCase.image_hash`.
        labels: The values in its label, None without one.
        notes: What the loader had to say.
        turned: Whether a photograph or mask of it is stored turned, by its EXIF orientation.
        header: What the image's NIfTI header says of its place; None where it has none.
    """

    case: str
    patient: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    affine: list[list[float]] | None
    ranges: tuple[tuple[float, float], ...]
    image_hash: str
    labels: tuple[int, ...] | None
    notes: tuple[str, ...] = ()
    turned: bool = False
    header: NiftiHeader | None = None


@dataclasses.dataclass(frozen=True)
class DatasetWarning:
    """One thing worth knowing.

    Attributes:
        kind: A word for it, for programs.
        text: One sentence or two, for people.
        cases: Those it is about; none where it is about all.
    """

    kind: str
    text: str
    cases: tuple[str, ...] = ()


def warnings_of(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> list[DatasetWarning]:
    """All warnings about the cases that could be read.

    Args:
        spec: The data set; its `preparation` is the rule that the cases will be prepared by.
        facts: Of these cases.
    """
    looks: tuple[Callable[[DatasetSpec, Sequence[CaseFacts]], Iterable[DatasetWarning]], ...] = (
        _few,
        _labels,
        _duplicates,
        _visits,
        _sizes,
        _spacings,
        _orientations,
        _disagreements,
        _forms,
        _units,
        _turned,
        _slices,
        _values,
        _notes,
    )
    warnings = [warning for look in looks for warning in look(spec, facts)] if facts else []
    return [*warnings, *(DatasetWarning("trap", trap) for trap in spec.traps)]


def _few(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    patients = len({fact.patient for fact in facts if fact.labels is not None})
    if 0 < patients < FEW_PATIENTS:
        tested = max(1, round(patients / 5))
        yield DatasetWarning("few", f"{patients} patients: a test part of a fifth has {tested}, too few to compare on")


def _labels(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    labelled = [(fact.case, fact.labels) for fact in facts if fact.labels is not None]
    if bare := [fact.case for fact in facts if fact.labels is None]:
        text = (
            f"{len(bare)} images without a label, beside {len(labelled)} with one: methods train on them that use "
            "unlabelled images; they are never scored and count in no label budget"
        )
        if not labelled:
            text = "no image has a label: others may pre-train on this data (`pool`), and nothing can be trained on it"
        yield DatasetWarning("unlabelled", text, tuple(bare))
    if mixed := _of_both(facts):
        yield DatasetWarning(
            "unlabelled",
            "images without a label of patients who have labels elsewhere: they are used where their patient trains, "
            "and left out where their patient validates or tests",
            tuple(mixed),
        )
    if empty := [case for case, labels in labelled if not has_foreground(labels)]:
        yield DatasetWarning("empty", "cases without any foreground", tuple(empty))
    present = {value for _, labels in labelled for value in labels}
    absent = [f"{name} ({value})" for value, name in enumerate(spec.classes) if value not in present]
    if labelled and absent:
        yield DatasetWarning("absent class", f"no case has {', '.join(absent)}")


def _of_both(facts: Sequence[CaseFacts]) -> list[str]:
    """The cases without a label of patients who have a case with one."""
    known = {fact.patient for fact in facts if fact.labels is not None}
    return [fact.case for fact in facts if fact.labels is None and fact.patient in known]


def _duplicates(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    alike: dict[str, list[CaseFacts]] = {}
    for fact in facts:
        alike.setdefault(fact.image_hash, []).append(fact)
    for group in alike.values():
        if len(group) > 1:
            patients = len({fact.patient for fact in group if fact.labels is not None})
            leak = ": different patients by name, so that a split may train on one and test on the other"
            bare = ": what is tested on under one name is not trained on under the other, which has no label"
            more = leak if patients > 1 else bare if any(fact.labels is None for fact in group) else ""
            text = f"the same image under {len(group)} names{more}"
            yield DatasetWarning("duplicate", text, tuple(fact.case for fact in group))


def _visits(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    """Names that look like several visits of one patient, where every case counts as a patient of its own."""
    for pattern in (_VISIT, _SECOND_NUMBER):
        groups: dict[str, list[CaseFacts]] = {}
        for fact in facts:
            if match := pattern.fullmatch(fact.case):
                groups.setdefault(match[1], []).append(fact)
        several = [
            group for group in groups.values() if len(group) > 1 and len({fact.patient for fact in group}) == len(group)
        ]
        # A name all cases share (study_01, study_02) is the study's, not a patient's.
        if several and len(groups) > 1:
            example = " and ".join(fact.case for fact in several[0][:2])
            yield DatasetWarning(
                "visits",
                f"names that look like several visits of a patient, such as {example}: if they are, say which cases "
                "belong together (patients.csv), or a patient may be trained on and tested on",
                tuple(fact.case for group in several for fact in group),
            )
            return


def _outliers(values: np.ndarray) -> np.ndarray:
    """(cases,) whether a case is `OUTLIER` times above or below the median along any axis of (cases, axes)."""
    ratio = values / np.median(values, axis=0)
    return np.asarray(((ratio > OUTLIER) | (ratio < 1 / OUTLIER)).any(axis=1))


def _listed(values: Iterable[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _sizes(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    usual = [fact for fact in facts if len(fact.shape) == spec.spatial_dims and min(fact.shape) > 0]
    if not usual:
        return
    shapes = np.array([fact.shape for fact in usual], dtype=float)
    odd = [fact.case for fact, outlying in zip(usual, _outliers(shapes), strict=True) if outlying]
    if odd:
        middle = _listed(np.median(shapes, axis=0))
        yield DatasetWarning("size", f"sizes more than {OUTLIER:g} times off the median of {middle} voxels", tuple(odd))


def _spacings(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    known = [fact for fact in facts if fact.spacing is not None and min(fact.spacing) > 0]
    if known and len(known) < len(facts):
        missing = tuple(fact.case for fact in facts if fact.spacing is None)
        yield DatasetWarning("spacing", "cases without a spacing beside cases that have one", missing)
    if not known or len({len(fact.spacing or ()) for fact in known}) > 1:
        return
    steps = np.array([fact.spacing for fact in known])
    middle = np.round(np.median(steps, axis=0), 4)
    odd = [fact.case for fact, outlying in zip(known, _outliers(steps), strict=True) if outlying]
    if odd:
        yield DatasetWarning(
            "spacing", f"spacings more than {OUTLIER:g} times off the median of {_listed(middle)} mm", tuple(odd)
        )
    if spec.preparation.spacing is None and (steps.max(axis=0) > 1.5 * steps.min(axis=0)).any():
        low, high = (np.round(end, 4) for end in (steps.min(axis=0), steps.max(axis=0)))
        yield DatasetWarning(
            "resampling",
            f"spacing varies from {_listed(low)} to {_listed(high)} mm and nothing is resampled by default: consider "
            f"preparation: {{spacing: {middle.tolist()}}}, the median",
        )


def _orientations(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    from nibabel.orientations import aff2axcodes

    placed = [fact for fact in facts if fact.header is None or fact.header.placed]  # else nibabel made the affine up
    affines = [(fact.case, np.asarray(fact.affine, dtype=float)) for fact in placed if fact.affine is not None]
    if not affines:
        return
    volumes = {case: float(np.linalg.det(affine[:3, :3])) for case, affine in affines}
    if flat := tuple(case for case, volume in volumes.items() if volume == 0 or not np.isfinite(volume)):
        yield DatasetWarning("affine", "affines that cannot be inverted: positions in space are lost", flat)
    sound = [(case, affine) for case, affine in affines if case not in set(flat)]
    codes = {case: "".join(str(code) for code in aff2axcodes(affine)) for case, affine in sound}
    counts = Counter(codes.values()).most_common()
    if len(counts) > 1:
        usual = counts[0][0]
        text = "orientations differ: " + ", ".join(f"{count} {code}" for code, count in counts)
        text += "; arrays are taken as they are stored, so reorient them first if the anatomy should lie alike"
        yield DatasetWarning("orientation", text, tuple(case for case, code in codes.items() if code != usual))
    if mirrored := tuple(case for case, volume in volumes.items() if volume < 0):
        yield DatasetWarning(
            "determinant",
            f"affines of negative determinant ({len(mirrored)} of {len(affines)}): voxel axes are left-handed; a tool "
            "that ignores the affine shows left and right exchanged",
            mirrored,
        )


def _disagreements(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    """Files whose affine steps other distances than their spacing says; millimetres are taken from the spacing."""
    odd = []
    for fact in facts:
        if fact.affine is not None and fact.spacing is not None and len(fact.spacing) == 3:
            # Columns of the affine are the file's axes, x first; the spacing is in array order, z first.
            steps = np.linalg.norm(np.asarray(fact.affine, dtype=float)[:3, :3], axis=0)[::-1]
            if not np.allclose(steps, fact.spacing, rtol=1e-3):
                odd.append((fact, steps))
    if odd:
        fact, steps = odd[0]
        yield DatasetWarning(
            "pixdim",
            f"spacing and affine disagree in the header: {fact.case} says {_listed(fact.spacing or ())} "
            f"mm and steps {_listed(steps)} mm; the spacing is taken",
            tuple(fact.case for fact, _ in odd),
        )


def _forms(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    """Headers that place the volume in two ways, or in none."""
    apart = []
    for fact in facts:
        forms = fact.header.forms() if fact.header is not None else {}
        if forms.keys() == {"sform", "qform"}:
            away = shift(forms["sform"], forms["qform"], fact.shape)
            if not away <= LARGEST_SHIFT:
                apart.append((fact.case, away))
    if apart:
        case, away = max(apart, key=lambda item: item[1])
        yield DatasetWarning(
            "forms",
            f"qform and sform place {len(apart)} of {len(facts)} volumes differently, {case} by {away:.3g} voxels: the "
            "sform is taken, and readers that take the qform (ITK's, by the codes) show the volume elsewhere; labels "
            "may lie by either",
            tuple(case for case, _ in apart),
        )
    headers = [(fact.case, fact.header) for fact in facts if fact.header is not None]
    if bare := tuple(case for case, header in headers if not header.placed):
        yield DatasetWarning(
            "position",
            f"{len(bare)} of {len(facts)} volumes have neither qform nor sform (codes 0 and 0): they lie where each "
            "reader puts them, and left and right are not known",
            bare,
        )


def _units(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    """Units of length other than millimetres."""
    units: dict[str, list[str]] = {}
    for fact in facts:
        if fact.header is not None:
            units.setdefault(fact.header.unit_name, []).append(fact.case)
    for name, cases in sorted(units.items()):
        if name in ("metre", "micron"):
            text = f"{len(cases)} of {len(facts)} volumes store lengths in {name}s: they are converted to mm"
            yield DatasetWarning("unit", text, tuple(cases))
        elif name != "mm" and len(units) > 1:
            text = (
                f"{len(cases)} of {len(facts)} volumes name no unit of length that is known, as others do: mm is taken"
            )
            yield DatasetWarning("unit", text, tuple(cases))


def _turned(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    if turned := tuple(fact.case for fact in facts if fact.turned):
        yield DatasetWarning(
            "turned",
            f"{len(turned)} of {len(facts)} cases have a photograph or mask stored turned (EXIF orientation): it "
            "is turned upright, as viewers show it, and its mask must lie on the upright image",
            turned,
        )


def _slices(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    """What 2-D networks will see of volumes."""
    if spec.spatial_dims == 2:
        return
    decided = slice_axis((fact.shape, fact.spacing) for fact in facts)
    odd = tuple(fact.case for fact in facts if thick_axis(fact.shape, fact.spacing) not in (None, decided.axis))
    if spec.preparation.slice_axis == "largest_spacing":
        yield DatasetWarning("slices", f"{decided}; `preparation: {{slice_axis: 0, 1 or 2}}` chooses another", odd)
    elif decided.axis != (spec.preparation.slice_axis or 0):
        text = f"slices are cut along axis {spec.preparation.slice_axis or 0} of (z, y, x), as the preparation says"
        yield DatasetWarning("slices", f"{text}; by spacing alone, {decided}", odd)


def _values(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    for number, channel in enumerate(spec.channels):
        ranges = [(fact.case, *fact.ranges[number]) for fact in facts if len(fact.ranges) > number]
        if constant := tuple(case for case, low, high in ranges if low == high):
            yield DatasetWarning("constant", f"channel {channel} has one value everywhere", constant)
        named = f"{channel} {spec.modality}" if len(spec.channels) == 1 else channel
        if re.search(r"(?<![a-z])ct(?![a-z])", named, re.IGNORECASE):
            narrow = [(case, low, high) for case, low, high in ranges if low > _LOWEST_HU and low < high]
            if narrow:
                case, low, high = narrow[0]
                yield DatasetWarning(
                    "windowed",
                    f"CT without air: {case} goes from {low:g} to {high:g}; it looks windowed, shifted or rescaled, "
                    "and a window in Hounsfield units would not mean what it says",
                    tuple(case for case, _, _ in narrow),
                )


def _notes(spec: DatasetSpec, facts: Sequence[CaseFacts]) -> Iterator[DatasetWarning]:
    for note in sorted({note for fact in facts for note in fact.notes}):
        yield DatasetWarning("note", note, tuple(fact.case for fact in facts if note in fact.notes))
