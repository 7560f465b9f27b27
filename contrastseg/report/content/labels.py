"""How methods, metrics, label budgets and numbers are written: alike in tables, figures and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contrastseg.evaluation.metrics import catalogue
from contrastseg.paths import EXTERNAL

PROVENANCE = {
    "official": ("O", "official: follows the authors' released code"),
    "published": ("P", "published: follows the text of the paper"),
    "reconstructed": ("R", "reconstructed: gaps in the text of the paper were filled"),
    EXTERNAL: ("E", "external: predictions of another trainer, scored here"),
}
UNKNOWN_PROVENANCE = ("?", "unknown provenance: the method card is missing")

CLIPPED = " c"  # behind an end of an interval that stands where the range ends
Pair = tuple[str, str]  # method and variant
_ZERO = 1e-12  # scores are compared to twelve decimals
_DECIMALS = {"distance": 2, "volume": 2, "count": 0}

# Stored outcome of a comparison -> its words in tables.
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "n.s.": "not significant",
    "n too small": "n too small",
    "identical": "identical",
    "incomplete": "not tested: predictions missing",
    "no pairs": "not tested: no patient in common",
    "reference": "baseline",
}


@dataclass(frozen=True)
class MethodLabel:
    """A method (and its variant) with its provenance mark; never printed without it.

    Attributes:
        method: Its name.
        variant: Its variant's.
        mark: The provenance as a letter.
        meaning: What the letter says.
        display_name: The name in tables and figures; empty where it is `method`.
        note: An addition to the name, such as a schedule shorter than the source's.
        published_name: The source's name of the row that the method stands in; the whole name where `method` is empty.
    """

    method: str
    variant: str
    mark: str
    meaning: str
    display_name: str = ""
    note: str = ""
    published_name: str = ""

    @property
    def name(self) -> str:
        """The method, with its variant (unless it is the default one) and the note in brackets."""
        if self.published_name:
            ours = replace(self, published_name="").name
            return f"{self.published_name} (here {ours})" if self.method else self.published_name
        inside = ", ".join(part for part in (self.variant, self.note) if part not in ("default", ""))
        return (self.display_name or self.method) + (f" ({inside})" if inside else "")

    @property
    def plain(self) -> str:
        """Name and mark for plain text, such as "pdcr [P]"; published rows without a method of ours have none."""
        return f"{self.name} [{self.mark}]" if self.mark else self.name


def provenances(runs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Method name -> provenance, from the runs' `run.json`."""
    provenance_of: dict[str, str] = {}
    for run in runs:
        provenance = (run.get("card") or {}).get("provenance")
        if provenance:
            provenance_of.setdefault(str(run["method"]), str(provenance))
    return provenance_of


def is_external(run: Mapping[str, Any]) -> bool:
    """Whether a `run.json` is of entered predictions, which nothing here trained."""
    return (run.get("card") or {}).get("provenance") == EXTERNAL


def display_names(runs: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[str, str]]:
    """(method, variant) -> the display name and the note that belongs to it, from the runs' `run.json`."""
    return {
        (str(run["method"]), str(run["variant"])): (str(run["printed_name"]), str(run.get("name_note") or ""))
        for run in runs
        if run.get("printed_name")
    }


def method_label(
    method: str,
    variant: str,
    provenance: Mapping[str, str],
    names: Mapping[tuple[str, str], tuple[str, str]] | None = None,
) -> MethodLabel:
    """The label of one method and variant."""
    mark, meaning = PROVENANCE.get(provenance.get(method, ""), UNKNOWN_PROVENANCE)
    return MethodLabel(method, variant, mark, meaning, *(names or {}).get((method, variant), ("", "")))


def metric_title(metric: str, unit: str = "1", arrow: bool = True) -> str:
    """Such as "HD95 [mm] ↓": title, unit where there is one, and the better direction."""
    title = catalogue.title(metric) if _known(metric) else metric
    text = title if unit in ("1", "", "nan") else f"{title} [{unit}]"
    better = higher_is_better(metric)
    return text if not arrow or better is None else f"{text} {'↑' if better else '↓'}"


def higher_is_better(metric: str) -> bool | None:
    """Whether a larger value is better; None for a metric the catalogue does not know."""
    return catalogue.direction(metric) == "higher" if _known(metric) else None


def decimals(metric: str, chosen: Mapping[str, int] | None = None) -> int:
    """Decimals of a metric."""
    if chosen and metric in chosen:
        return chosen[metric]
    return _DECIMALS.get(catalogue.METRICS[metric].kind, 3) if metric in catalogue.METRICS else 3


def metric_order(present: Iterable[str]) -> list[str]:
    """Metrics in the catalogue's order, unknown ones last."""
    return in_order(present, [*catalogue.METRICS, *catalogue.DERIVED])


def _known(metric: str) -> bool:
    return metric in catalogue.METRICS or metric in catalogue.DERIVED


def number(value: float | None, places: int) -> str:
    """A number with fixed decimals and a true minus sign; an en dash when there is none."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.{places}f}"
    return text.replace("-", "−") if float(text) != 0 else text.removeprefix("-")


def interval(low: float, high: float, places: int, clipped: str = "") -> str:
    """Such as "[0.71, 0.80]", empty when not claimed; "[9.96, 335.00 c]" where that end was clipped."""
    if math.isnan(low) or math.isnan(high):
        return ""
    ends = (
        (number(low, places), CLIPPED * (clipped in ("low", "both"))),
        (
            number(high, places),
            CLIPPED * (clipped in ("high", "both")),
        ),
    )
    return f"[{', '.join(text + mark for text, mark in ends)}]"


def effect_interval(low: float, high: float, places: int) -> str:
    """An interval of a difference: a bound has as many decimals as it takes to see on which side of 0 it lies."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, seen_places(low, places))}, {number(high, seen_places(high, places))}]"


def effect(value: float, places: int) -> str:
    """A difference with its sign, and as many decimals as it takes to see it."""
    text = number(value, seen_places(value, places))
    return f"+{text}" if value > 0 and text.strip("0.") else text


def seen_places(value: float, places: int) -> int:
    """The decimals at which a value does not look like 0; those asked for where it is 0 (below 10⁻¹²)."""
    if math.isnan(value) or abs(value) < _ZERO:
        return places
    while float(f"{value:.{places}f}") == 0:
        places += 1
    return places


def p_value(value: float | None, alpha: float = 0.05) -> str:
    """A p value with three decimals, below 0.1 with three significant digits.

    Where rounding would move it to the other side of the level, or onto it, it is written as below or above the level.

    Args:
        value: The p value.
        alpha: The level that it is compared with: a p at or below it is significant.
    """
    if value is None or math.isnan(value):
        return "–"
    if value < 0.001 <= alpha:
        return "< 0.001"
    text = f"{value:#.3g}" if value < 0.09995 else f"{value:.3f}" if value < 0.9995 else "1"
    if value < alpha <= float(text):
        return f"< {alpha:g}"
    return f"> {alpha:g}" if value > alpha >= float(text) else text


def budget_order(labels: str) -> tuple[int, float]:
    """Sort key: counts (`n3`) before ratios (`r0.1`), small before large."""
    try:
        return (0 if labels.startswith("n") else 1, float(labels[1:]))
    except ValueError:
        return (2, 0.0)


def budget_title(labels: str, patients: int | None = None) -> str:
    """Such as "10 % labels (7 patients)" for `r0.1` and "7 labelled patients" for `n7`."""
    kind, value = budget_order(labels)
    if kind == 0:
        return f"{value:g} labelled patient{'' if value == 1 else 's'}"
    if kind == 1:
        people = "" if patients is None else f" ({patients} patient{'' if patients == 1 else 's'})"
        return f"{100 * value:g} % labelled{people}"
    return labels


def budget_short(labels: str) -> str:
    """Such as "10 %" for `r0.1` and "7" for `n7`: for a column that says it holds labels."""
    kind, value = budget_order(labels)
    return f"{100 * value:g} %" if kind == 1 else f"{value:g}" if kind == 0 else labels


def split_baseline(baseline: str) -> tuple[str, str]:
    """Method and variant of a baseline written `method` or `method/variant`."""
    method, _, variant = baseline.partition("/")
    return method, variant or "default"


def labelled_counts(runs: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """(entry, labels) -> number of labelled patients, where all runs of that budget agree."""
    seen: dict[tuple[str, str], set[int]] = {}
    for run in runs:
        if run.get("labelled_count") is not None:
            seen.setdefault((str(run["dataset"]), str(run["labels"])), set()).add(int(run["labelled_count"]))
    return {key: counts.pop() for key, counts in seen.items() if len(counts) == 1}


def in_order(present: Iterable[str], preferred: Sequence[str]) -> list[str]:
    """The names present: first those preferred, in that order, then the others by name."""
    names = set(present)
    first = [name for name in dict.fromkeys(preferred) if name in names]
    return first + sorted(names - set(first))


def label_counts(labelled: int, unlabelled: int) -> str:
    """Such as "8 labelled, 14 without label"."""
    return f"{labelled} labelled, {unlabelled} without label"
