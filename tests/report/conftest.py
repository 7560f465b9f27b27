"""An invented comparison for the report's tests: two data sets, four methods, two budgets, with a hole and a skip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from contrastseg.evaluation.scoring.collect import COLUMNS
from contrastseg.evaluation.statistics import compare, summarise, variance_table
from contrastseg.files import write_json
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.content.run_keys import run_key
from contrastseg.report.content.suite_info import SuiteInfo, gather_suite_info
from contrastseg.report.figures._style import KNOWN
from contrastseg.report.figures.build import make_figures
from contrastseg.report.figures.overlay_cases import RANKS, Overlay, Volume
from contrastseg.report.page.build import make_report
from contrastseg.report.page.slices import LIMIT, SUFFIX, cut, fit
from contrastseg.report.settings import FigureSettings, default_figures, default_tables

CLASSES = {"organs": ["liver", "spleen", "kidney"], "lesions": ["lesion"]}
UNITS = {"organs": "mm", "lesions": "pixel"}
PATIENTS = {"organs": 12, "lesions": 8}
PROVENANCE = {"supervised": "published", "mean_teacher": "official", "pdcr": "reconstructed", "uafr": "published"}
LEVEL = {"supervised": 0.0, "mean_teacher": 0.03, "pdcr": 0.09, "uafr": 0.05}
BUDGETS = {"r0.1": (0.1, 2), "r0.5": (0.5, 10)}
RATIOS = (0.05, 0.1, 0.25, 1.0)
# As many as the suite with most of them compares (benchmarks/full.yaml): the time of a crowd grows with their square.
MANY = KNOWN[:24]
HOLE = ("organs", "uafr", "r0.5", 0, "organs-p03")


@dataclass
class World:
    scores: pd.DataFrame
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    runs: list[dict[str, Any]]
    infos: list[dict[str, Any]]
    skipped: list[dict[str, str]]
    suite: SuiteInfo
    logs: dict[str, pd.DataFrame] = field(default_factory=dict)
    variance: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def data(self) -> ReportData:
        return ReportData(
            summary=self.summary,
            comparisons=self.comparisons,
            runs=self.runs,
            infos=self.infos,
            skipped=self.skipped,
            suite=self.suite,
            scores=self.scores,
            frames={"variance": self.variance} if len(self.variance) else {},
        )

    @property
    def nothing(self) -> ReportData:
        """The same columns without a row."""
        frames = {name: getattr(self, name).iloc[:0] for name in ("summary", "comparisons", "scores")}
        return ReportData(**frames)

    def rename(self, old: str, new: str) -> World:
        """The same world with a method called otherwise."""
        tables = (self.scores, self.summary, self.comparisons, self.variance)
        frames = [frame.replace({"method": {old: new}}) if len(frame) else frame for frame in tables]
        runs = [run | {"method": new} if run["method"] == old else run for run in self.runs]
        methods = tuple(new if name == old else name for name in self.suite.methods)
        return replace(
            self,
            scores=frames[0],
            summary=frames[1],
            comparisons=frames[2],
            variance=frames[3],
            infos=list(self.infos),
            skipped=list(self.skipped),
            runs=runs,
            suite=replace(self.suite, methods=methods),
        )


def rows_of_run(rng: np.random.Generator, dataset: str, method: str, labels: str, seed: int) -> list[dict[str, Any]]:
    ratio, count = BUDGETS[labels]
    axes = {
        "suite": "made_up",
        "dataset": dataset,
        "split": "random",
        "fold": 0,
        "method": method,
        "variant": "rf" if method == "uafr" else "default",
        "label_ratio": ratio,
        "labels": labels,
        "labelled_patients": count,
        "draw": 0,
        "seed": seed,
        "evaluated_on": dataset,
        "checkpoint": "last",
    }
    rows = []
    for number in range(PATIENTS[dataset]):
        patient = f"{dataset}-p{number:02d}"
        for place, name in enumerate(CLASSES[dataset]):
            base = 0.62 + 0.12 * (ratio > 0.2) + LEVEL[method] - 0.05 * place
            dice = float(np.clip(base + 0.01 * (number % 5) + rng.normal(0, 0.02), 0, 1))
            outcome = "scored"
            if method == "supervised" and number == 1 and place == 2:
                dice, outcome = 0.0, "missed"
            for metric, unit, value in (("dice", "1", dice), ("hd95", UNITS[dataset], 30 * (1 - dice))):
                if (dataset, method, labels, seed, patient) == HOLE:
                    outcome, value = "hole", np.nan
                rows.append(
                    axes
                    | {"patient": patient, "case": patient, "class": name, "metric": metric}
                    | {"value": value, "unit": unit, "outcome": outcome}
                )
    return rows


def card_of(method: str, dataset: str, labels: str, seed: int) -> dict[str, Any]:
    return {
        "suite": "made_up",
        "dataset": dataset,
        "method": method,
        "variant": "rf" if method == "uafr" else "default",
        "labels": labels,
        "labelled_count": BUDGETS[labels][1],
        "label_ratio": BUDGETS[labels][0],
        "draw": 0,
        "fold": 0,
        "seed": seed,
        "fingerprint": "0123456789abcdef",
        "split_hash": "5a17",
        "versions": {"torch": "2.13.0", "numpy": "2.2.0"},
        "git_commit": "1234567890abcdef1234",
        "hardware": {"device": "cpu", "cpu": "An invented CPU", "cpu_count": 2, "cpu_capability": "AVX2"},
        "precision": "32-true",
        "wall_s": 61.25 + seed,
        "cpu_s": 48.5 + seed,
        "seconds_per_step": 0.051,
        "peak_memory_bytes": 512 * 2**20,
        "parameters": 123456,
        "steps": 1200,
        "card": {
            "title": method.replace("_", " ").title(),
            "paper": "Somebody et al., A paper that does not exist, 2020",
            "doi": "10.0000/none",
            "year": 2020,
            "provenance": PROVENANCE[method],
            "summary": "An invented method for the tests of the report.",
            "differs": ["The network is the benchmark's."],
            "options": {"ema": "0.99, as in the text"},
        },
    }


def log_of(rng: np.random.Generator, method: str) -> pd.DataFrame:
    steps = np.arange(10, 1201, 10)
    loss = 1.2 * np.exp(-steps / (300 + 900 * LEVEL[method])) + 0.2 + rng.normal(0, 0.03, len(steps))
    dice = np.where(steps % 100 == 0, 0.8 - 0.6 * np.exp(-steps / 250) + LEVEL[method], np.nan)
    return pd.DataFrame({"step": steps, "seconds": steps * 0.05, "loss": loss, "val_dice": dice})


def build(methods: tuple[str, ...] = tuple(PROVENANCE)) -> World:
    """The whole invented comparison, summarised and compared by the project's own statistics."""
    rng = np.random.default_rng(7)
    rows: list[dict[str, Any]] = []
    cards = []
    logs = {}
    for dataset in CLASSES:
        for method in methods:
            for labels in BUDGETS:
                if (dataset, method, labels) == ("lesions", "pdcr", "r0.5"):
                    continue
                for seed in (0, 1):
                    rows += rows_of_run(rng, dataset, method, labels, seed)
                    card = card_of(method, dataset, labels, seed)
                    cards.append(card)
                    logs[run_key(card)] = log_of(rng, method)
    scores = pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype(COLUMNS)
    infos = [
        {
            "entry": name,
            "dataset": f"phantom_{name}",
            "title": f"Invented {name}",
            "modality": "none",
            "spatial_dims": 3 if name == "organs" else 2,
            "classes": ["background", *CLASSES[name]],
            "channels": ["grey"],
            "unit": UNITS[name],
            "licence": "CC0",
            "citation": "Nobody, 2020",
            "preparation": {"intensity": "zscore", "window": None},
            "source": {"cases": 20},
            "notes": ["Invented for the tests."],
        }
        for name in CLASSES
    ]
    suite = {
        "name": "made_up",
        "title": "An invented comparison",
        "description": "Nothing here was measured.",
        "datasets": [{"name": "organs", "subset": "the patients that are present"}, {"name": "lesions"}],
        "methods": [{"name": name} for name in methods],
        "evaluation": {"convention": "default"},
        "comparison": {"reference": "supervised"},
    }
    fold = {"train": [f"t{i}" for i in range(14)], "val": [], "test": [f"p{i}" for i in range(12)]}
    splits = [
        {"entry": "organs", "name": "list", "source": "a list", "hash": "5a17c0de", "folds": [fold]}
        | {"complete_counts": {"train": 70, "val": 10, "test": 20}, "subset": True},
        {"entry": "lesions", "name": "random", "source": None, "hash": "beef", "folds": [fold]}
        | {"complete_counts": None, "subset": False},
    ]
    skipped = [
        {"dataset": "lesions", "method": "pdcr", "labels": "r0.5", "reason": "no unlabelled patients are left"},
    ]
    return World(
        scores, summarise(scores), compare(scores), cards, infos, skipped, gather_suite_info(suite, splits), logs
    )


def pictures() -> list[Overlay]:
    """Two discs per image, predicted less and less wrongly."""
    y, x = np.mgrid[:48, :64]
    reference = ((y - 24) ** 2 + (x - 20) ** 2 < 120).astype(np.uint8)
    reference[(y - 30) ** 2 + (x - 45) ** 2 < 40] = 2
    image = (0.3 + 0.3 * (reference > 0) + 0.02 * ((x + y) % 5)).astype(np.float32)
    return [
        Overlay(
            dataset="organs",
            evaluated_on="organs",
            checkpoint="last",
            labels="r0.1",
            method=method,
            variant="default",
            rank=rank,
            case=f"organs-p{place}",
            patient=f"organs-p{place}",
            score=0.5 + 0.1 * place,
            image=image,
            reference=reference,
            prediction=np.roll(reference, 6 - 2 * place, axis=1),
            place="slice 3 of 9",
        )
        for method in ("supervised", "pdcr")
        for place, rank in enumerate(RANKS)
    ]


def ball(shift: int) -> Volume:
    """A ball in nine slices, predicted `shift` pixels aside."""
    z, y, x = np.mgrid[:9, :40, :50]
    reference = ((3 * (z - 4)) ** 2 + (y - 20) ** 2 + (x - 22) ** 2 < 130).astype(np.uint8)
    image = (reference + 0.1 * ((x + y + z) % 5))[None].astype(np.float32)
    return Volume(image, reference, np.roll(reference, shift, axis=2), 1.0, False)


def stacks() -> list[dict[str, Any]]:
    """The volumes to look through: two methods, three cases each."""
    return [
        {"dataset": "organs", "evaluated_on": "organs", "checkpoint": "last", "labels": "r0.1", "method": method}
        | {"variant": "default", "rank": rank, "case": f"organs-p{place}", "metric": "dice", "score": 0.5 + 0.1 * place}
        | {"of": 9, "slices": cut(ball(6 - 2 * place))}
        for method in ("supervised", "pdcr")
        for place, rank in enumerate(RANKS)
    ]


@pytest.fixture(scope="session")
def world() -> World:
    plain = build()
    return replace(plain, variance=variance_table(plain.scores))


@pytest.fixture(scope="session")
def figure_settings() -> list[FigureSettings]:
    """The default figures, small: what they show does not depend on their resolution."""
    return [one.model_copy(update={"dpi": 50}) for one in default_figures()]


@pytest.fixture(scope="session")
def drawn(world: World, figure_settings: list[FigureSettings], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the default figures, drawn by the first of the test processes (popen-gw0, …) that asks for it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if base.name.startswith("popen-gw") else base
    folder, unfinished = base / "figures", base / "unfinished-figures"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished.mkdir(exist_ok=True)
            make_figures(world.data, figure_settings, unfinished, logs=world.logs, overlays={"overlays": pictures()})
            write_json(unfinished / f"overlays{SUFFIX}", fit(stacks(), LIMIT))
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def report(
    world: World, drawn: Path, figure_settings: list[FigureSettings], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of the invented comparison."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    return make_report(world.data, tables=default_tables(), figures=figure_settings, figures_folder=drawn, path=path)


def grid_scores(methods: Sequence[str], datasets: Mapping[str, int], patients: int, seeds: int = 3) -> pd.DataFrame:
    """Invented Dice and HD95 of a full grid at four label ratios, some structures missed, some invented.

    Args:
        methods: Better ones last.
        datasets: Number of classes by name.
        patients: Of each data set.
        seeds: Runs of each cell.
    """
    rng = np.random.default_rng(11)
    parts = []
    for dataset, classes in datasets.items():
        hard = rng.uniform(0, 0.2)
        # A reference is empty for every method or for none.
        empty = np.random.default_rng(classes).uniform(size=(1, patients, classes)) > 0.99
        for nth, method in enumerate(methods):
            for rank, ratio in enumerate(RATIOS):
                level = 0.6 - hard + 0.08 * rank + 0.012 * nth * (1 - 0.2 * rank)
                shape = (seeds, patients, classes)
                dice = level + rng.normal(0, 0.1, (1, patients, 1)) + rng.normal(0, 0.03, shape)
                luck = rng.uniform(size=shape)
                outcome = np.where(empty, "invented", np.where(luck < 0.04 / (1 + rank), "missed", "scored"))
                dice = np.where(outcome == "scored", dice.clip(0.01, 0.99), 0.0)
                seed, patient, place = (grid.ravel() for grid in np.indices(shape))
                frame = pd.DataFrame({"seed": seed, "patient": patient, "class": place, "outcome": outcome.ravel()})
                frame["patient"] = "p" + frame["patient"].astype(str).str.zfill(3)
                frame["class"] = "class " + frame["class"].astype(str)
                frame["labelled_patients"], frame["label_ratio"], frame["labels"] = 4**rank, ratio, f"r{ratio:g}"
                frame = frame.assign(dataset=dataset, evaluated_on=dataset, method=method)
                parts.append(frame.assign(metric="dice", value=dice.ravel(), unit="1"))
                parts.append(frame.assign(metric="hd95", value=30 * (1 - dice.ravel()), unit="mm"))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(suite="grid", split="random", fold=0, variant="default", draw=0, checkpoint="last")
    return rows.assign(case=rows["patient"]).reindex(columns=list(COLUMNS)).astype(COLUMNS)


def grid_cards(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """A run card for every run of `grid_scores`."""
    rng = np.random.default_rng(12)
    runs = scores[["dataset", "method", "variant", "labels", "labelled_patients", "draw", "fold", "seed"]]
    size = {method: 2e6 * rng.uniform(0.8, 3) for method in dict.fromkeys(scores["method"])}
    return [
        {str(name): value for name, value in run.items()}
        | {"labelled_count": run["labelled_patients"], "card": {"provenance": "published"}}
        | {"wall_s": 600 * rng.uniform(0.95, 1.05) * size[run["method"]] / 2e6, "parameters": size[run["method"]]}
        | {"peak_memory_bytes": 2**31, "hardware": {"device": "gpu", "gpu": "An invented GPU"}}
        for run in runs.drop_duplicates().to_dict("records")
    ]


def grid_logs(cards: Sequence[Mapping[str, Any]], points: int = 200) -> dict[str, pd.DataFrame]:
    """A training log for every card."""
    rng = np.random.default_rng(13)
    steps = np.linspace(100, 20000, points).round()
    logs = {}
    for card in cards:
        fall = np.exp(-steps / rng.uniform(2000, 6000))
        dice = np.where(np.arange(points) % 10 == 0, 0.8 - 0.6 * fall, np.nan)
        noise = rng.normal(0, 0.03, points)
        logs[run_key(card)] = pd.DataFrame({"step": steps, "loss": 0.3 + fall + noise, "val_dice": dice})
    return logs


def grid_pictures(methods: Sequence[str], datasets: Sequence[str]) -> list[Overlay]:
    """Three pictures for every method and data set."""
    return [
        replace(one, dataset=dataset, evaluated_on=dataset, method=method, labels="r0.05")
        for dataset in datasets
        for method in methods
        for one in pictures()[:3]
    ]


@pytest.fixture(scope="session")
def crowd() -> World:
    """Many methods at four label ratios on three data sets: what a figure has to stand."""
    datasets = {"one": 1, "three": 3, "many": 13}
    scores = grid_scores(MANY, datasets, patients=4, seeds=2)
    cards = grid_cards(scores)
    suite = SuiteInfo("grid", methods=MANY, datasets=tuple(datasets), baseline="supervised")
    return World(scores, summarise(scores), pd.DataFrame(), cards, [], [], suite, grid_logs(cards, 60))


@pytest.fixture(scope="session")
def overlays_of() -> Callable[[Sequence[str], Sequence[str]], list[Overlay]]:
    """Makes three pictures for every method and data set."""
    return grid_pictures
