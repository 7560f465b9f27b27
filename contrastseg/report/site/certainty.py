"""How certain the findings are: patients, seeds and draws behind the tests, and what limits the stored runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median

from contrastseg.paths import CHECKOUT
from contrastseg.report.content.labels import number
from contrastseg.report.site.equal_steps import EqualSteps
from contrastseg.report.site.reference_runs import ReferenceRuns
from contrastseg.suite import load_suite
from contrastseg.text import plural

_MIRRORED = "404c65a"  # at this commit `semantic_aware` mirrored the views of its contrast in every suite


def certainty(runs: Sequence[ReferenceRuns]) -> Iterator[str]:
    """How many trainings stand behind the verdicts, and how often such tests err about trainings."""
    if not runs:
        return
    for run in runs:
        planned = len(run.results.plan["suite"]["seeds"])
        yield (
            f"- `{run.suite}`: seed {run.usual_seeds} ({planned} planned{_more_seeds(run)}),"
            f" {plural(run.draws, 'draw')} of the labelled patients."
        )
    yield (
        "- A test over patients compares these trained networks. It does not cover other seeds or other labelled"
        " patients."
    )
    rates = (CHECKOUT / "docs" / "statistics.md").read_text(encoding="utf-8")
    for patients in sorted({int(place.baseline.n) for run in runs for place in run.places()}):
        same = rf"^\| same method, other seeds \| {patients} \| ([\d.]+) [^|]*\| ([\d.]+) "
        if row := re.search(same, rates, re.MULTILINE):
            yield (
                f"- With {patients} test patients, {row[1]} % of families of 4 tests and {row[2]} % of families of"
                " 19 are significant when one method is only trained again with other seeds"
                " ([simulation](statistics.md#false-alarms)). Small differences are therefore uncertain."
            )


def _more_seeds(run: ReferenceRuns) -> str:
    found = [scores for place in run.places() if (scores := run.further_seeds(place)) is not None]
    names = dict.fromkeys(name for scores in found for name in scores["method"])
    return (
        f"; more of {', '.join(map(run.named, names))} [there](results.md#other-effects-on-the-ranking)"
        if names
        else ""
    )


def by_draw(run: ReferenceRuns) -> Iterator[str]:
    """Of methods with several draws of the labelled patients: the test over all draws beside that of draw 0 alone."""
    if not run.results.has("variance"):
        return
    table = run.results.frame("variance")
    at = (table["metric"] == "dice") & (table["checkpoint"] == "last") & (table["first_draw_verdict"] != "")
    for place in run.places():
        here = at & (table["dataset"] == place.entry) & (table["labels"] == place.labels)
        told = [
            f"{run.named(str(row.method), str(row.variant))} {row.first_draw_verdict} by draw 0, {whole.verdict} by all"
            for row in table[here & (table["evaluated_on"] == place.entry)].itertuples()
            if (whole := place.row(str(row.method), str(row.variant))) is not None and whole.verdict != "reference"
        ]
        if told:
            yield f"- **Draws**, {place.name}: {'; '.join(told)}."


def detectable(places: Sequence[EqualSteps]) -> Iterator[str]:
    """The size of a difference that the tests of a place would find."""
    for at in places:
        found = [float(row.detectable_difference) for row in at.rows.values()]
        if known := [value for value in found if value == value]:
            yield (
                f"- {at.place.name}: the tests find a difference of {number(median(known), 3)} Dice in four of five"
                f" cases (median over {plural(len(known), 'method')})."
            )


def _steps_changed(run: ReferenceRuns) -> bool:
    """Whether the suite of this name trains for another number of steps now."""
    file = CHECKOUT / "benchmarks" / f"{run.suite}.yaml"
    return file.is_file() and load_suite(file).training.steps != run.results.plan["suite"]["training"]["steps"]


def _former_recipe(run: ReferenceRuns) -> str:
    return (
        f"- The runs of `{run.suite}` are of a former recipe. The suite has another one now, and no scores of it are"
        " stored yet."
    )


def limits(runs: Sequence[ReferenceRuns]) -> Iterator[str]:
    """What the stored runs leave open."""
    yield "- One recipe, a small network and reduced images for all methods. The order at full size may differ."
    yield from map(_former_recipe, filter(_steps_changed, runs))
    cards = [card for run in runs for card in run.results.runs]
    if any(str(c["git_commit"]).startswith(_MIRRORED) for c in cards if c["method"] == "semantic_aware"):
        yield (
            "- The runs of `semantic_aware` were made by older code, which mirrored the views of its contrast although"
            " these suites forbid mirroring. Later code follows the suites"
            " ([why](methods.md#the-contrast-of-semantic_aware))."
        )
    if any("cpu" in card["hardware"] and "cpu_capability" not in card["hardware"] for card in cards):
        yield (
            "- The instruction set of the processor was not recorded in some runs. Another one changes every number"
            " a little."
        )
    for run in runs:
        if run.draws == 1:
            yield f"- `{run.suite}`: the effect of other patients' labels is unknown, as there is one draw."
