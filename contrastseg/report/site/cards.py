"""The pages of the methods, made from their cards: `docs/_hooks.py` hands them to the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrastseg.methods import registry
from contrastseg.methods.contract import Method
from contrastseg.paths import MEASURED
from contrastseg.planning.step_times import BASELINE, StepTimes, method_costs, step_times
from contrastseg.report.site.markdown import line
from contrastseg.report.site.method_results import method_results
from contrastseg.report.site.stored_rows import StoredRow

FOLDER = "cards"
MARKS = {
    "official": "follows the released code",
    "published": "follows the text",
    "reconstructed": "fills gaps of the text; our choices are listed below",
}

_INTRODUCTION = """# The methods

This page is made from the cards that `contrastseg methods` prints and every report repeats. The mark states the origin
of a method. It does not claim that the paper's numbers were reached.

- *official*: follows the released code.
- *published*: follows the text.
- *reconstructed*: fills gaps of the text. The method's page lists the choices, each with its reason.

*Parameters* are those trained in the last stage. *A step costs* its time divided by that of `supervised` with as many
pixels, stage by stage. Both are in 2D and {where}. The cost is left out for a method that plans its own patch and
batch. [Observations](../methods.md) has results of single methods, and [losses](../losses.md) their losses beside
released code.

| method | title | stages | mark | parameters | a step costs |
| --- | --- | --- | --- | ---: | ---: |
"""


def pages(measured: Path = MEASURED, rows: Sequence[StoredRow] = ()) -> dict[str, str]:
    """Every page by its place in the site: the overview, then one a method.

    Args:
        measured: Folder of measured steps, `methods-<hardware>.csv`.
        rows: The stored rows of all methods.
    """
    found = {f"{FOLDER}/index.md": overview(measured)}
    return found | {f"{FOLDER}/{name}.md": page(registry.get(name), measured, rows) for name in registry.names()}


def overview(measured: Path = MEASURED) -> str:
    """One line a method."""
    costs, times = method_costs(measured), step_times(measured)
    hardware = sorted({known.hardware for known in times.values()})
    where = f"measured on {', '.join(f'`{name}`' for name in hardware)}" if hardware else "not measured yet"
    rows = []
    for name in registry.names():
        method = registry.get(name)
        stages = [stage.name for stage in method.stages]
        relative = [_relative(times, name, stage, min(method.spatial_dims)) for stage in stages]
        steps = " → ".join(f"{cost}×" for cost in relative) if all(relative) else ""
        size = f"{costs[name]['parameters'] / 1e6:.2f} M" if name in costs else ""
        title, mark = method.card.title, method.card.provenance
        rows.append(line(f"[`{name}`]({name}.md)", title, " → ".join(stages), mark, size, steps))
    return _INTRODUCTION.format(where=where) + "\n".join(rows) + "\n"


def page(method: type[Method], measured: Path = MEASURED, rows: Sequence[StoredRow] = ()) -> str:
    """All that is known of one method before it runs, and its stored results among `rows`."""
    card = method.card
    doi = f", {card.doi if card.doi.startswith('arXiv') else f'doi {card.doi}'}" if card.doi else ""
    facts = [
        ("Name", f"`{method.name}` in a suite's `methods:`"),
        ("Mark", f"**{card.provenance}**: {MARKS[card.provenance]}"),
        ("Paper", f"{card.paper}{doi}"),
        ("Dimensions", " and ".join(f"{dims}D" for dims in method.spatial_dims)),
        ("Stages", " → ".join(f"`{stage.name}` ({_data(stage.data)})" for stage in method.stages)),
        ("Variants", ", ".join(f"`{name}`{_changes(changed)}" for name, changed in method.variants.items())),
        ("Memory of a job", f"{method.memory_mb / 1000:g} GB requested; not measured"),
    ]
    parts = [f"# {card.title}", "", card.summary, "", "| | |", "| --- | --- |"]
    parts += [line(*fact) for fact in facts]
    if card.differs:
        parts += ["", "## Differences from the source", "", *(f"- {_flat(text)}" for text in card.differs)]
    parts += ["", "## Results", "", *method_results(method.name, rows)]
    parts += ["", "## Settings", "", *_settings(method), *_ranges(method)]
    parts += ["", "## Cost", "", *_cost(method, measured)]
    return "\n".join(parts) + "\n"


def _data(used: str) -> str:
    return "labelled and unlabelled" if used == "both" else used


def _changes(changed: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'`{name}: {shown(value)}`' for name, value in changed.items())})" if changed else ""


def _settings(method: type[Method]) -> list[str]:
    if not method.defaults:
        return ["The method uses only the suite's settings: network, budget and augmentation."]
    sentence = (
        "A suite sets them under `settings:`. The last column has our reason where the source leaves a choice open."
    )
    table = [sentence, "", "| setting | default | our choice and its reason |", "| --- | --- | --- |"]
    reasons = method.card.options
    return table + [line(f"`{k}`", f"`{shown(v)}`", reasons.get(k, "")) for k, v in method.defaults.items()]


def _ranges(method: type[Method]) -> list[str]:
    if not method.card.tunable:
        return []
    sentence = "A [tuned suite](../tuning.md) searches these ranges."
    rows = [line(f"`{name}`", f"`{shown(each)}`") for name, each in method.card.tunable.items()]
    return ["", sentence, "", "| setting | range |", "| --- | --- |", *rows]


def _cost(method: type[Method], measured: Path) -> list[str]:
    times = step_times(measured)
    known, costs = times.get(method.name), method_costs(measured).get(method.name)
    if known is None:
        return ["Not measured yet. `python benchmarks/speed/methods.py` measures it."]
    rows = [
        line(
            f"`{stage}`",
            f"{dims}D",
            f"{step.seconds:.3g}",
            f"{step.pixels:,}",
            _relative(times, method.name, stage, dims),
        )
        for (stage, dims), step in known.steps.items()
    ]
    dims = min(method.spatial_dims)
    size = f" In {dims}D it trains {costs['parameters']:,} parameters in its last stage." if costs else ""
    head = f"Seconds of a training step on a phantom, measured on `{known.hardware}`, one thread.{size}"
    titles = ["| stage | network | s a step | labelled pixels a step | steps of `supervised` |"]
    return [head, "", *titles, "| --- | --- | ---: | ---: | ---: |", *rows]


def _relative(times: Mapping[str, StepTimes], name: str, stage: str, dims: int) -> str:
    """A step's time over that of `supervised` with as many pixels on the same machine; empty where there is none."""
    known, reference = times.get(name), times.get(BASELINE)
    if known is None or reference is None or known.hardware != reference.hardware:
        return ""
    step, other = known.steps.get((stage, dims)), reference.steps.get(("train", dims))
    if step is None or other is None or step.pixels != other.pixels:
        return ""
    return f"{step.seconds / other.seconds:.2f}"


def shown(value: Any) -> str:
    """A setting as a suite would write it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _flat(text: str) -> str:
    return " ".join(text.split())
