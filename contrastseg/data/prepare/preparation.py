"""From a published layout to the prepared store, case by case, resumable, the same bytes from the same input."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.code_graph import code_fingerprint, definition
from contrastseg.data.faults import Faults, wrap_disk_errors
from contrastseg.data.files import formats
from contrastseg.data.prepare import checks, intensity, mask_survey, recipe, superpixels
from contrastseg.data.prepare.cases import DatasetJson
from contrastseg.data.prepare.inputs import Input, Inputs, Published
from contrastseg.data.prepare.slicing import SliceAxis, decide_slices
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.data.readers.mask_values import CODING, Coding
from contrastseg.data.readers.specs import DatasetSpec, RawCase
from contrastseg.data.registry import registry
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError
from contrastseg.files import atomic_path, digest, read_json, sha256, write_if_changed, write_json
from contrastseg.paths import MANIFEST

Progress = Callable[[int, int], None]

CROPPED = "prepared as a box around each case's label, test cases included: no prediction of whole images"
"""The note of data that was cropped around labels."""


@dataclasses.dataclass(frozen=True)
class _Job:
    """One case to prepare; picklable, so that worker processes can take it."""

    spec: DatasetSpec
    raw: RawCase
    options: Any
    settings: PreparationSettings
    folder: Path
    made_by: str
    slice_axis: int


def prepare_dataset(
    entry: str,
    dataset: str | DatasetSpec,
    options: Mapping[str, Any] | None,
    preparation: PreparationSettings | Mapping[str, Any] | None,
    raw: str | Path | None,
    output_folder: str | Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Prepare a data set.

    A case is kept when its input files, the rule and the code that prepares are unchanged and its files are whole.
    ``manifest.json`` (hashes of the cases) and the other indices are rewritten only when they change. ``inputs.json``
    says what published data was read from; processes that prepare into one folder take turns.

    Args:
        entry: The suite's name for it.
        dataset: Name or spec of the data set.
        options: Options of the data set.
        preparation: The rule; None for the data set's own.
        raw: Folder in the published layout; None for generated data.
        output_folder: Where the prepared store goes.
        workers: Processes.
        progress: Called with (cases done, cases in all); before that with (masks counted, masks to count) where their
            values have to be counted first.

    Returns:
        The path of ``manifest.json``.

    Raises:
        DataError: Faulty cases, all of them at once; or no space left.
    """
    spec = registry.get(dataset, options) if isinstance(dataset, str) else dataset
    settings, parsed = recipe.resolve(spec, preparation), spec.parse_options(options)
    folder, faults = Path(output_folder), Faults()
    raw_cases = _discover(spec, None if raw is None else Path(raw), parsed, faults)
    facts: dict[str, Any] = {"dataset": spec.name, "channels": spec.channels, "options": parsed.model_dump()}
    facts |= {"classes": len(spec.classes), "preparation": settings.model_dump()}
    coded, coding = _decide_masks(spec, raw_cases, parsed, faults, workers, progress)
    cut = decide_slices(spec, coded, parsed, settings.slice_axis)
    if cut is not None and cut.axis:
        facts["slice_axis"] = cut.axis
    made_by = digest({**facts, "classes": spec.classes, "code": _code_digest(spec)})
    axis = 0 if cut is None else cut.axis
    jobs = [_Job(spec, case, parsed, settings, folder, made_by, axis) for case in coded]
    with wrap_disk_errors(folder), _alone(folder):
        states, read = [], dict[str, Input]()
        for done, outcome in enumerate(_run(jobs, workers), start=1):
            if isinstance(outcome, DataError):
                faults.found.append(outcome)
            else:
                states.append(outcome[0])
                read = outcome[1] | read  # what several cases share, as the first of them found it
            if progress is not None:
                progress(done, len(jobs))
        units = {state["unit"] for state in states}
        if len(units) > 1:
            faults.add(
                f"cases with different units of length: {sorted(units)}", file=folder, remedy="prepare them apart"
            )
        labelled = [state for state in states if state["labelled"]]
        if labelled and not faults.found and not any(state["foreground"] for state in labelled):
            faults.found.append(checks.no_foreground(None if raw is None else Path(raw), len(labelled)))
        faults.raise_any()
        _remove_others(folder, spec, {state["case"] for state in states})
        _write_indices(entry, spec, parsed, settings, folder, states, coding, cut)
        # Networks learn how many classes there are, not what they are called: a name that is corrected trains nothing.
        manifest = {state["case"]: state["output"] for state in states} | {"preparation": digest(facts)}
        write_if_changed(folder / MANIFEST, _text(manifest))
        if raw is not None:  # last: whoever is killed before prepares again
            Inputs.of(Published(Path(raw), tuple(raw_cases), ()), read).write(folder)
    return folder / MANIFEST


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process prepares into the folder."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield


def _discover(spec: DatasetSpec, raw: Path | None, options: Any, faults: Faults) -> list[RawCase]:
    cases: dict[str, RawCase] = {}
    with faults.collect():
        for case in spec.discover(raw, options, faults):
            if case.case in cases:
                file = case.files[0] if case.files else None
                faults.add("two cases have this name", case=case.case, file=file, remedy="rename or remove one")
            cases[case.case] = case
    if not cases:
        faults.raise_any()
        raise DataError(f"no case of {spec.name} found", file=raw, remedy="check the folder's layout")
    return [cases[name] for name in sorted(cases)]


def _decide_masks(
    spec: DatasetSpec, raw_cases: list[RawCase], options: Any, faults: Faults, workers: int, progress: Progress | None
) -> tuple[list[RawCase], Coding | None]:
    """The cases with what their masks mean; preparing by a wrong meaning would only cost time.

    Raises:
        DataError: The values of the masks have no common meaning, or faults were found before.
    """
    before = len(faults.found)
    decided = mask_survey.decide_masks(spec, raw_cases, options, faults, workers=workers, progress=progress)
    if len(faults.found) > before:
        faults.raise_any()
    return decided


_Prepared = tuple[dict[str, Any], dict[str, Input]]
"""The state of a case, and what its files were when they were read."""


def _run(jobs: Sequence[_Job], workers: int) -> Iterable[_Prepared | DataError]:
    if workers <= 1:
        yield from map(_prepare_or_fault, jobs)
    else:
        with ProcessPoolExecutor(workers) as pool:
            yield from pool.map(_prepare_or_fault, jobs)


def _prepare_or_fault(job: _Job) -> _Prepared | DataError:
    with wrap_disk_errors(job.folder):
        try:
            read = {str(path): _input(path, job.raw.case) for path in job.raw.files}
            return _prepare_case(job, [file.content for file in read.values()]), read
        except DataError as error:
            return error


def _prepare_case(job: _Job, contents: Sequence[str]) -> dict[str, Any]:
    raw, folder = job.raw, job.folder / "cases" / job.raw.case
    state_file = folder / "state.json"
    named = [raw.case, raw.patient, raw.frame, raw.part, raw.stratum, repr(sorted(raw.details.items()))]
    key = digest([job.made_by, *named, contents])
    if state_file.is_file():
        state = read_json(state_file)
        if state.get("key") == key and _output_hash(job, state["labelled"]) == state["output"]:
            return dict(state)
    native = job.spec.load(raw, job.options)
    checks.check_native(job.spec, raw, native)
    state_file.unlink(missing_ok=True)
    with recipe.wrap_case_errors(raw):
        case = recipe.prepare_native(
            native, job.settings, job.spec.native_format, raw.case, raw.patient, raw.frame, job.slice_axis
        )
    _save(folder / "image.npy", case.image)
    if case.label is not None and native.label is not None:
        _save(folder / "label.npy", case.label)
        formats.write_label(_reference(job), native.label, case.geometry)
    else:
        (folder / "label.npy").unlink(missing_ok=True)
        _reference(job).unlink(missing_ok=True)
    if job.settings.superpixels is not None:
        _save(folder / "superpixels.npy", superpixels.superpixel_map(case.image, job.settings.superpixels))
    else:
        (folder / "superpixels.npy").unlink(missing_ok=True)
    case.geometry.to_json(folder / "geometry.json")
    labelled = case.label is not None
    state = {
        "key": key,
        "case": raw.case,
        "patient": raw.patient,
        "frame": raw.frame or "",
        "part": raw.part or "",
        "stratum": raw.stratum,
        "labelled": labelled,
        "foreground": native.label is not None and checks.has_foreground(checks.label_values(native.label)),
        "shape": "x".join(map(str, case.geometry.shape)),
        "spacing": "x".join(str(round(step, 6)) for step in case.geometry.spacing or ()),
        "image": native.image_hash,
        "unit": native.unit,
        "notes": list(checks.reading_notes(raw, native)),
        "output": _output_hash(job, labelled),
    }
    write_json(state_file, state)
    return state


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)


def _reference(job: _Job) -> Path:
    suffix = ".nii.gz" if job.spec.native_format == "nifti" else ".png"
    return job.folder / "references" / f"{job.raw.case}{suffix}"


def _input(path: Path, case: str) -> Input:
    with wrap_read_errors(path, case):
        return Input.read(path)


def _output_hash(job: _Job, labelled: bool) -> str | None:
    """Of everything later steps read of the case; None when a file is missing."""
    folder = job.folder / "cases" / job.raw.case
    files = [folder / "image.npy", folder / "geometry.json"]
    if labelled:
        files += [folder / "label.npy", _reference(job)]
    if job.settings.superpixels is not None:
        files.append(folder / "superpixels.npy")
    if not all(path.is_file() for path in files):
        return None
    return hashlib.sha256("".join(sha256(path) for path in files).encode()).hexdigest()


def _code_digest(spec: DatasetSpec) -> str:
    """Of the code that turns native files into prepared ones: prepared again when it does something else."""
    load = spec.load.func if isinstance(spec.load, partial) else spec.load
    return code_fingerprint((definition(_prepare_case), definition(load)))


def _remove_others(folder: Path, spec: DatasetSpec, kept: set[str]) -> None:
    """Remove what an earlier preparation left of cases that are no longer part of the data set."""
    for state in folder.glob("cases/*/state.json"):
        if state.parent.name not in kept:
            for reference in (folder / "references").glob(f"{state.parent.name}.*"):
                if formats.case_name(reference) == state.parent.name:
                    reference.unlink()
            shutil.rmtree(state.parent)


def _write_indices(
    entry: str,
    spec: DatasetSpec,
    options: Any,
    settings: PreparationSettings,
    folder: Path,
    states: list[dict[str, Any]],
    coding: Coding | None,
    cut: SliceAxis | None,
) -> None:
    columns = ("case", "patient", "frame", "part", "stratum", "labelled", "shape", "spacing", "image")
    rows = [{**state, "labelled": str(state["labelled"]).lower()} for state in states]
    lines = [",".join(columns), *(",".join(row[column] for column in columns) for row in rows)]
    write_if_changed(folder / "cases.csv", "\n".join(lines) + "\n")
    notes = [note for state in states for note in state["notes"]]
    counted = {note: notes.count(note) for note in notes}
    info = DatasetJson(
        entry=entry,
        dataset=spec.name,
        title=spec.title,
        modality=spec.modality,
        spatial_dims=spec.spatial_dims,
        slice_axis=None if cut is None else cut.axis,
        channels=list(spec.channels),
        classes=list(spec.classes),
        unit=states[0]["unit"],
        native_format=spec.native_format,
        licence=spec.licence,
        citation=spec.citation,
        scale=intensity.stored_scale(settings),
        preparation=settings,
        source={
            "options": options.model_dump(mode="json"),
            "generated": spec.generated,
            "cases": len(states),
            "patients": len({state["patient"] for state in states}),
            **({} if coding is None else {CODING: coding.to_json()}),
            # Not in cards of data sets that are labelled throughout: those stay as they are.
            **({"unlabelled": bare} if (bare := sum(not state["labelled"] for state in states)) else {}),
        },
        notes=[
            *([f"masks: {coding}"] if coding is not None and coding.unusual else []),
            *([CROPPED] if settings.crop is not None else []),
            *([str(cut)] if settings.slice_axis == "largest_spacing" else []),
            *(f"{note} ({count} of {len(states)} cases)" for note, count in sorted(counted.items())),
        ],
    )
    write_if_changed(folder / "dataset.json", _text(info.model_dump(mode="json")))


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
