"""Whether a published number and ours follow one protocol: what differs, what the source does not state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contrastseg.report.content.labels import budget_title
from contrastseg.report.content.report_data import Place, ReportData
from contrastseg.report.settings.published import PublishedSettings
from contrastseg.report.tables import wording

_COUNT = re.compile(r"(\d+) (?:patients?|cases?|volumes?)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?%")


@dataclass(frozen=True)
class Protocols:
    """Two protocols compared.

    Attributes:
        differs: What is known to differ, in words.
        not_stated: What the source does not state, so that the comparison stays open.
    """

    differs: tuple[str, ...] = ()
    not_stated: tuple[str, ...] = ()

    @classmethod
    def merged(cls, protocols: Iterable[Protocols]) -> Protocols:
        """Everything that differs or is not stated in any of them, once."""
        compared = list(protocols)
        return cls(
            tuple(dict.fromkeys(text for each in compared for text in each.differs)),
            tuple(dict.fromkeys(text for each in compared for text in each.not_stated)),
        )

    @property
    def verdict(self) -> str:
        """One sentence or two; never that protocols match while a point is open."""
        return wording.protocols(self.differs, self.not_stated)


@dataclass(frozen=True)
class _Point:
    """One point of a protocol that differs, or that the source does not state."""

    text: str
    stated: bool = True


def compare_protocols(
    data: ReportData,
    settings: PublishedSettings,
    number: Mapping[str, Any],
    *,
    place: Place,
    method: str,
    unit: str,
) -> Protocols:
    """Compare the protocol of one published number with ours.

    Args:
        data: What the table is made from.
        settings: The mapping, with what is known of the source's protocol.
        number: The published number.
        place: Entry, what it is evaluated on, checkpoint.
        method: Ours.
        unit: The unit of our metric; empty where we have no number.
    """
    points = [
        *_split(data, settings, number, place),
        *_labels(data, settings, number, place[0]),
        *_unit(number, unit),
        *_scoring(data, settings, place[2]),
        *_recipe(data, settings, place[0], method),
    ]
    differs = [point.text for point in points if point.stated]
    mapped = settings.datasets[str(number["dataset"])]
    return Protocols(
        (*differs, *mapped.differs, *settings.protocol.differs),
        tuple(point.text for point in points if not point.stated),
    )


def comparable(theirs: str, ours: str) -> bool:
    """Whether a difference of the two units means anything."""
    return ours == "1" if theirs in ("%", "fraction") else theirs == ours


def _split(data: ReportData, settings: PublishedSettings, number: Mapping[str, Any], place: Place) -> Iterator[_Point]:
    theirs = settings.datasets[str(number["dataset"])].split
    ours = data.suite.entry(place[0]).split_name
    if theirs is None:
        yield _Point(f"whether its split is ours ({ours or 'unknown'})", stated=False)
    elif theirs != ours:
        yield _Point(f"split: {theirs} there, {ours or 'unknown'} here")
    for name in dict.fromkeys(place[:2]):
        if subset := data.suite.entry(name).subset_note():
            yield _Point(f"subset: {subset} of {name} here")


def _unit(number: Mapping[str, Any], ours: str) -> Iterator[_Point]:
    metric, theirs = str(number["metric"]), str(number["unit"])
    if theirs == "not stated":
        yield _Point(f"unit of {metric}", stated=False)
    elif ours and not comparable(theirs, ours):
        yield _Point(f"unit of {metric}: {theirs} there, {ours} here")


def _scoring(data: ReportData, settings: PublishedSettings, checkpoint: str) -> Iterator[_Point]:
    protocol = settings.protocol
    for name, theirs, ours in (
        ("scoring convention", protocol.convention, data.suite.convention),
        ("checkpoint", protocol.checkpoint, checkpoint),
    ):
        if theirs is None:
            yield _Point(name, stated=False)
        elif theirs != ours:
            yield _Point(f"{name}: {theirs} there, {ours} here")


def _labels(data: ReportData, settings: PublishedSettings, number: Mapping[str, Any], entry: str) -> Iterator[_Point]:
    """A number of patients is compared with ours; a share, with ours of all training patients, to the patient."""
    theirs = str(number["labelled"])
    labels = settings.budget(str(number["dataset"]), theirs)
    if not theirs:
        yield _Point("labelled data", stated=False)
        return
    if not labels:
        return
    ours = int(labels[1:]) if labels.startswith("n") else data.labelled(entry, labels)
    info = data.suite.entry(entry)
    training_patients = info.complete.get("train") or info.present.get("train")
    count, share = _COUNT.fullmatch(theirs), _SHARE.fullmatch(theirs)
    if count and ours is not None:
        same = int(count[1]) == ours
    elif share and labels.startswith("r"):
        same = abs(float(share[1]) / 100 - float(labels[1:])) < 5e-4
    elif share and ours is not None and training_patients:
        same = abs(float(share[1]) / 100 * training_patients - ours) < 1
    else:
        same = False
    if not same:
        yield _Point(f"labels: {theirs} there, {budget_title(labels, ours)} here")


def _recipe(data: ReportData, settings: PublishedSettings, entry: str, method: str) -> Iterator[_Point]:
    """The settings that the source states, against those the runs were made with."""
    if not settings.protocol.recipe:
        yield _Point("training recipe", stated=False)
        return
    trainings = data.training.get((entry, method), [])
    for name, theirs in settings.protocol.recipe.items():
        ours = list(dict.fromkeys(_plain(_setting(training, name)) for training in trainings))
        if any(value != _plain(theirs) for value in ours):
            yield _Point(f"{name}: {_plain(theirs)} there, {' and '.join(ours)} here")


def _setting(training: Mapping[str, Any], name: str) -> Any:
    value: Any = training
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "×".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
