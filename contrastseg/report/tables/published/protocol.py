"""Whether a printed number and ours were made under one protocol: what differs, what the source does not state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from contrastseg.report.content.labels import budget_title
from contrastseg.report.content.report_data import Material
from contrastseg.report.settings.published import PaperSettings

_COUNT = re.compile(r"(\d+) (?:patients?|cases?|volumes?)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?%")


@dataclass(frozen=True)
class Protocols:
    """Two protocols held against each other.

    Attributes:
        differs: What is known to differ, in words.
        unstated: What the source does not state, so that nobody can tell.
    """

    differs: tuple[str, ...] = ()
    unstated: tuple[str, ...] = ()

    def merged(self, others: Iterable[Protocols]) -> Protocols:
        """Everything that differs or is not stated in any of them, once."""
        every = [self, *others]
        return Protocols(
            tuple(dict.fromkeys(text for one in every for text in one.differs)),
            tuple(dict.fromkeys(text for one in every for text in one.unstated)),
        )

    @property
    def verdict(self) -> str:
        """One sentence or two; never that protocols are the same while anything is open."""
        open_points = f"Not stated by the source: {', '.join(self.unstated)}." if self.unstated else ""
        if self.differs:
            return f"Protocol differs: {'; '.join(self.differs)}. {open_points}".strip()
        if self.unstated:
            return f"Whether the protocols match is not known. {open_points}"
        return "Protocols match in split, labels, unit, convention, checkpoint and the settings the source states."


def compare_protocols(
    material: Material,
    settings: PaperSettings,
    printed: Mapping[str, Any],
    place: tuple[str, str, str],
    method: str,
    unit: str,
) -> Protocols:
    """Hold the protocol of one printed number against ours.

    Args:
        material: What the table is made from.
        settings: The mapping, with what is known of the source's protocol.
        printed: The row of the published number.
        place: Entry, what it is evaluated on, checkpoint.
        method: Ours.
        unit: The unit of our metric; empty where we have no number.
    """
    entry, evaluated_on, checkpoint = place
    differs: list[str] = []
    unstated: list[str] = []
    data, protocol, facts = settings.datasets[str(printed["dataset"])], settings.protocol, material.facts
    split = facts.entry(entry).split_name
    if data.split is None:
        unstated.append(f"whether its split is ours ({split or 'not known'})")
    elif data.split != split:
        differs.append(f"split: {data.split} there, {split or 'not known'} here")
    for name in dict.fromkeys((entry, evaluated_on)):
        if subset := facts.entry(name).subset_note():
            differs.append(f"subset: {subset} of {name} here")
    _labels(material, settings, printed, entry, differs, unstated)
    metric, theirs = str(printed["metric"]), str(printed["unit"])
    if theirs == "not stated":
        unstated.append(f"unit of {metric}")
    elif unit and not comparable(theirs, unit):
        differs.append(f"unit of {metric}: {theirs} there, {unit} here")
    if protocol.convention is None:
        unstated.append("scoring convention")
    elif protocol.convention != facts.convention:
        differs.append(f"scoring convention: {protocol.convention} there, {facts.convention} here")
    if protocol.checkpoint is None:
        unstated.append("checkpoint")
    elif protocol.checkpoint != checkpoint:
        differs.append(f"checkpoint: {protocol.checkpoint} there, {checkpoint} here")
    _recipe(material, settings, entry, method, differs, unstated)
    return Protocols((*differs, *data.differs, *protocol.differs), tuple(unstated))


def comparable(theirs: str, ours: str) -> bool:
    """Whether a difference of the two units means anything."""
    return ours == "1" if theirs in ("%", "fraction") else theirs == ours


def _labels(
    material: Material,
    settings: PaperSettings,
    printed: Mapping[str, Any],
    entry: str,
    differs: list[str],
    unstated: list[str],
) -> None:
    """A number of patients is held against ours; a share, against ours of all training patients, to the patient."""
    theirs = str(printed["labelled"])
    labels = settings.budget(str(printed["dataset"]), theirs)
    if not theirs:
        unstated.append("labelled data")
        return
    if not labels:
        return
    ours = int(labels[1:]) if labels.startswith("n") else material.labelled(entry, labels)
    facts = material.facts.entry(entry)
    everyone = facts.complete.get("train") or facts.present.get("train")
    count, share = _COUNT.fullmatch(theirs), _SHARE.fullmatch(theirs)
    said = f"labels: {theirs} there, {budget_title(labels, ours)} here"
    if count and ours is not None:
        same = int(count[1]) == ours
    elif share and labels.startswith("r"):
        same = abs(float(share[1]) / 100 - float(labels[1:])) < 5e-4
    elif share and ours is not None and everyone:
        same = abs(float(share[1]) / 100 * everyone - ours) < 1
    else:
        same = False
    if not same:
        differs.append(said)


def _recipe(
    material: Material,
    settings: PaperSettings,
    entry: str,
    method: str,
    differs: list[str],
    unstated: list[str],
) -> None:
    """The settings that the source states, against those the runs were made with."""
    if not settings.protocol.recipe:
        unstated.append("training recipe")
        return
    runs = material.training.get((entry, method), [])
    for name, theirs in settings.protocol.recipe.items():
        ours = list(dict.fromkeys(_plain(_setting(training, name)) for training in runs))
        if any(value != _plain(theirs) for value in ours):
            differs.append(f"{name}: {_plain(theirs)} there, {' and '.join(ours)} here")


def _setting(training: Mapping[str, Any], name: str) -> Any:
    found: Any = training
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "×".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
