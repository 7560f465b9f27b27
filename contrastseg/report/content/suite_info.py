"""Suite and splits as tables, figures and the page describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contrastseg.evaluation.metrics.empty_references import EmptyReference
from contrastseg.evaluation.settings import FamilyName


@dataclass(frozen=True)
class EntryInfo:
    """One data set of the suite: its split, how much of the published list is present, its pre-training pool."""

    entry: str
    split_name: str = ""
    split_hash: str = ""
    split_source: str = ""
    present: Mapping[str, int] = field(default_factory=dict)
    complete: Mapping[str, int] = field(default_factory=dict)
    subset: str | None = None
    pool: tuple[str, ...] = ()
    pool_for_all: bool = False

    def subset_note(self) -> str | None:
        """Such as "14 of 70 training and 10 of 20 test patients", or None when the data set is complete."""
        parts = [
            f"{self.present.get(part, 0)} of {self.complete[part]} {words}"
            for part, words in (("train", "training"), ("val", "validation"), ("test", "test"))
            if self.complete.get(part) and self.present.get(part, 0) != self.complete[part]
        ]
        text = f"{', '.join(parts)} patients" if parts else None
        if self.subset and text:
            return f"{text} ({self.subset})"
        return self.subset or text


@dataclass(frozen=True)
class SuiteInfo:
    """The suite as the report speaks of it.

    Attributes:
        name: The suite's name.
        title: Its title, empty where it has none.
        description: Its description.
        convention: The scoring convention of every table but that of conventions.
        baseline: The method, as `method` or `method/variant`, that every other is compared with.
        alpha: Level of the tests; intervals have a nominal coverage of 1 − alpha.
        family: Which tests Holm's correction covers together.
        empty_reference: How comparisons and rankings count an empty reference.
        methods: Names of the methods, in the suite's order.
        datasets: Names of its entries, in the suite's order.
        entries: The split of each entry, as far as it is known.
        recipe: The source whose recipe the suite follows key by key; empty where it claims none.
        trials: K of a tuned suite; None where methods have their defaults.
        validation: What a tuned suite validates on, `labelled` or `free`.
        draws: Draws of labelled patients that all methods have; every table but that of kind `draws` is of these. Empty
            where they are unknown.
        further_draws: Draws that some methods have beside these.
        step_totals: What `suite.step_totals` says of methods with a total of steps, as the plan has it.
    """

    name: str
    title: str = ""
    description: str = ""
    convention: str = "default"
    baseline: str | None = None
    alpha: float = 0.05
    family: FamilyName = "methods_and_ratios"
    empty_reference: EmptyReference = "best_or_worst"
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    entries: Mapping[str, EntryInfo] = field(default_factory=dict)
    recipe: str = ""
    trials: int | None = None
    validation: str = ""
    step_totals: tuple[Mapping[str, Any], ...] = ()
    draws: tuple[int, ...] = ()
    further_draws: tuple[int, ...] = ()

    @property
    def level(self) -> str:
        """The nominal coverage of every interval, such as "95 %"."""
        return f"{100 * (1 - self.alpha):g} %"

    def entry(self, name: str) -> EntryInfo:
        """What is known of one entry; empty values where its split is unknown."""
        return self.entries.get(name, EntryInfo(name))


def _name(item: Any) -> str:
    return str(item["name"]) if isinstance(item, Mapping) else str(item)


def gather_suite_info(
    suite: Mapping[str, Any],
    splits: Sequence[Mapping[str, Any]],
    step_totals: Sequence[Mapping[str, Any]] = (),
    *,
    draws: Sequence[int] = (),
    further_draws: Sequence[int] = (),
) -> SuiteInfo:
    """Collect the information from a suite (as a plain dict) and the split files (as read from JSON).

    Args:
        suite: `name`, `title`, `description`, `datasets`, `methods`, `evaluation`, `comparison` of the suite file.
        splits: The contents of `resources/splits/<entry>.json`, one per entry.
        step_totals: Those of the plan.
        draws: Draws that all methods have.
        further_draws: Those of some methods beside them.
    """
    items = {_name(item): item for item in suite.get("datasets", ()) if isinstance(item, Mapping)}
    entries = {}
    for split in splits:
        entry = str(split["entry"])
        first = split["folds"][0] if split.get("folds") else {}
        entries[entry] = EntryInfo(
            entry=entry,
            split_name=str(split.get("name", "")),
            split_hash=str(split.get("hash", "")),
            split_source=str(split.get("source") or ""),
            present={part: len(first.get(part, ())) for part in ("train", "val", "test")},
            complete=dict(split.get("complete_counts") or {}),
            subset=items.get(entry, {}).get("subset") or None,
            pool=tuple(items.get(entry, {}).get("pool") or ()),
            pool_for_all=items.get(entry, {}).get("pool_use") == "all",
        )
    comparison, tuning = suite.get("comparison") or {}, suite.get("tuning") or {}
    return SuiteInfo(
        name=str(suite.get("name", "suite")),
        title=str(suite.get("title") or ""),
        description=str(suite.get("description") or ""),
        convention=str((suite.get("evaluation") or {}).get("convention") or "default"),
        baseline=comparison.get("reference"),
        alpha=float(comparison.get("alpha", 0.05)),
        family=comparison.get("family", "methods_and_ratios"),
        empty_reference=comparison.get("empty_reference", "best_or_worst"),
        methods=tuple(_name(item) for item in suite.get("methods", ())),
        datasets=tuple(_name(item) for item in suite.get("datasets", ())),
        entries=entries,
        recipe=str(suite.get("recipe") or ""),
        trials=tuning.get("trials"),
        validation=str(tuning.get("validation") or ""),
        step_totals=tuple(step_totals),
        draws=tuple(draws),
        further_draws=tuple(further_draws),
    )
