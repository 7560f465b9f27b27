"""The pages that the site makes: they say what cards, suites and measurements say."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from contrastseg.methods import registry
from tests.docs.pages import DOCS, made

HEADER = "method,stage,spatial_dims,parameters,seconds_per_step,pixels_per_step"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return made()


@pytest.fixture
def costs() -> ModuleType:
    return importlib.import_module("contrastseg.report.site.costs")


@pytest.fixture
def cards(costs: ModuleType) -> ModuleType:
    return sys.modules["contrastseg.report.site.cards"]


@pytest.mark.parametrize("name", registry.names())
def test_a_method_s_page_has_its_whole_card(name: str, pages: dict[str, str]) -> None:
    method, page = registry.get(name), pages[f"cards/{name}.md"]
    words = " ".join(page.split()).replace("\\|", "|")
    for text in (method.card.summary, method.card.paper, *method.card.differs, *method.card.options.values()):
        assert " ".join(text.split()) in words
    assert f"**{method.card.provenance}**" in page
    assert all(f"| `{setting}` |" in page for setting in method.defaults)
    assert f"[`{name}`]({name}.md)" in pages["cards/index.md"]


def test_costs_are_those_of_the_measured_file(cards: ModuleType, tmp_path: Path) -> None:
    rows = [
        "supervised,train,2,9,0.5,64",
        "simclr,pretrain,2,9,1.0,64",
        "simclr,train,2,7,0.75,64",
        "nnunet,train,2,9,2,8",
    ]
    (tmp_path / "methods-here.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    overview = {line.split("`")[1]: line for line in cards.overview(tmp_path).splitlines() if line.startswith("| [`")}
    assert overview["simclr"].endswith("| 0.00 M | 2.00× → 1.50× |")
    assert overview["nnunet"].endswith("|  |"), "its step has other pixels: no ratio"
    assert overview["pdcr"].endswith("|  |  |"), "nobody measured it"
    assert "| `pretrain` | 2D | 1 | 64 | 2.00 |" in cards.page(registry.get("simclr"), tmp_path)
    assert "Not measured yet" in cards.page(registry.get("pdcr"), tmp_path)


A, B, C, D = (Path(name) for name in "abcd")


@pytest.mark.parametrize(
    ("chains", "devices", "expected"),
    [
        ([], 1, 0),
        ([[(A, 2), (B, 3)]], 1, 5),
        ([[(A, 2), (B, 3)]], 9, 5),  # a chain is as long as it is
        ([[(A, 4)], [(B, 4)], [(C, 4)]], 2, 8),
        ([[(A, 2), (B, 3)], [(A, 2), (C, 3)]], 2, 5),  # the shared stage once, then both at the same time
        ([[(A, 2), (B, 3)], [(A, 2), (C, 3)]], 1, 8),
        ([[(A, 5), (B, 1)], [(C, 1)], [(D, 4)]], 2, 6),  # short ones fill the other device
    ],
)
def test_devices_take_the_next_stage_that_can_start(costs: Any, chains: Any, devices: int, expected: float) -> None:
    assert costs.makespan(chains, devices) == expected


def test_hours_of_a_suite(costs: ModuleType, tmp_path: Path) -> None:
    """Two runs of 100 steps with twice the pixels of the measured step, one of another network, one nobody measured."""
    measured = tmp_path / "measured"
    measured.mkdir()
    (measured / "methods-here.csv").write_text(f"{HEADER}\nsupervised,train,2,1000000,36,1024\n")
    base = {
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions"}],
        "methods": ["supervised"],
        "labels": ["r0.1", "r1"],
        "training": {"steps": 100, "batch_size": 2, "patch_size": [32, 32], "accelerator": "cpu"},
    }
    suites = {
        "same": base,
        "thin": {**base, "training": {**base["training"], "network": {"name": "unet", "channels": [8, 16]}}},
        "other": {**base, "training": {**base["training"], "network": {"name": "vnet"}}},
        "unmeasured": {**base, "methods": ["supervised", "pdcr"], "labels": ["r1"]},
    }
    (tmp_path / "benchmarks").mkdir()
    for name, suite in suites.items():
        (tmp_path / "benchmarks" / f"{name}.yaml").write_text(json.dumps({"name": name, **suite}))
    page = costs.page(measured, tmp_path)
    assert "| `same` | 2 | 2 | 4.0 h | 2.0 h | 2.0 h | 2.0 h | as measured |" in page
    assert "| `thin` | 2 | 2 | ≤ 4.0 h | ≤ 2.0 h | ≤ 2.0 h | ≤ 2.0 h | U-Net 8-16 |" in page
    assert "| `other` | 2 | 2 | – | – | – | – | vnet |" in page
    assert "`unmeasured` leaves out `pdcr/train`" in page
    assert "| `same` | 0.0 GB |" in page
    assert "| `other` | unknown |" in page
    assert "reference runs took" not in page


def test_every_suite_has_its_costs_and_the_page_says_it_was_a_cpu(pages: dict[str, str]) -> None:
    suites = sorted(path.stem for path in (DOCS.parent / "benchmarks").glob("*.yaml"))
    assert suites
    assert all(f"\n| `{name}` |" in pages["costs.md"] for name in suites)
    assert "every number here is of a CPU" in pages["costs.md"]
    hardware = {path.stem.split("-")[1] for path in (DOCS.parent / "benchmarks/speed/results").glob("methods-*.csv")}
    assert hardware == {"cpu"}, "a GPU was measured: say so on the page"


def test_the_table_of_long_tests_says_what_pytest_saw(tmp_path: Path) -> None:
    (tmp_path / "test_few.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('n', [1, 2, 3])\n"
        "def test_three(n):\n    assert n != 2\n"
        "def test_none():\n    pytest.skip('no such program')\n"
        "@pytest.fixture\ndef broken():\n    raise OSError\n"
        "def test_without(broken):\n    pass\n"
    )
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "--rootdir", "."]
    subprocess.run([*command, "test_few.py"], cwd=tmp_path, capture_output=True)
    made = importlib.import_module("contrastseg.report.site.long_tests").page
    page = made([report])
    assert "2 passed, 2 failed, 1 skipped" in page
    assert f" cores,\n{torch.backends.cpu.get_cpu_capability()}: 2 passed, 2 failed, 1 skipped" in page
    rows = {row.split("|")[1].strip(): row for row in page.splitlines() if row.startswith("| `")}
    assert "| 3 | 2 | 1 | 0 |" in rows["`test_few.py::test_three`"]
    assert "| 1 | 0 | 1 | 0 |" in rows["`test_few.py::test_without`"]
    assert "no such program" in page
    assert "second result" not in page
    mended = tmp_path / "mended.xml"
    mended.write_text(
        '<testsuite timestamp="2026-01-02T03:04:05"><testcase classname="test_few" name="test_three[2]" time="60"/>'
        "</testsuite>"
    )
    later = made([report, mended], ["0123456789abcdef", "fedcba9876543210-dirty"])
    assert "at commits `0123456789` and `fedcba9876-dirty`" in later
    assert "3 passed, 1 failed, 1 skipped" in later
    assert "1 of them failed" in later
    assert "second result" in later
    assert "2026-01-02" in later
    assert "| `test_few.py::test_three` | 3 | 3 | 0 | 0 | 1.0 |" in later


def test_reasons_why_tests_are_long_outlive_a_new_table_and_name_long_tests() -> None:
    module = importlib.import_module("contrastseg.report.site.long_tests")
    reasons = module.by_hand((DOCS / "long-tests.md").read_text(encoding="utf-8"))
    assert module.by_hand(f"another table\n{reasons}") == reasons
    named = re.findall(r"^\| `(tests/[\w/]+\.py)(?:::(\w+))?`", reasons, re.MULTILINE)
    assert len(named) > 20
    for file, test in named:
        text = (DOCS.parent / file).read_text(encoding="utf-8")
        assert "mark.long" in text or "long=" in text, file
        assert not test or f"\ndef {test}(" in text, f"{file}::{test}"


def test_the_page_of_fidelity_has_every_recipe_and_every_suite_that_claims_one(
    pages: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = pages["fidelity.md"]
    names = sorted(path.stem for path in (DOCS.parent / "benchmarks" / "recipes").glob("*.yaml"))
    assert [name for name in names if f"\n### {name}\n" not in page] == []
    assert "| `training.batch_size` | `64` | README:62,109; run_training.py:9 |" in page
    suite = {
        "name": "claimer",
        "recipe": "uamt_la",
        "datasets": [{"name": "crops", "dataset": "la", "split": {"name": "la_80_20"}}],
        "methods": ["supervised", "ua_mt"],
        "labels": ["n16"],
        "training": {"steps": 6000, "optimiser": {"name": "sgd"}},
    }
    (tmp_path / "claimer.yaml").write_text(json.dumps(suite))
    made = importlib.import_module("contrastseg.report.site.fidelity").page(tmp_path)
    assert "\n### claimer\n" in made
    assert "| crops | `training.steps` | `6000` | `6000` | same |" in made
    assert "| crops, ua_mt | `settings.decay` | `0.99` | `0.99` | same |" in made
    assert "| crops | `training.optimiser.momentum` | `0.9` | `0.9` | same |" in made
    assert "| crops | `preparation.image_order`" not in made, "nothing is resampled: the key has no effect"
    assert "| amos22; chaos_ct; segthor; pddca | `training.steps` | unknown | `20000` | unknown |" in page
