"""Fingerprints follow what a stage executes, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from contrastseg import fingerprints
from contrastseg.code_graph import code_fingerprint, graph, left_out, modules, modules_reached
from contrastseg.errors import SuiteError
from contrastseg.fingerprints import stage_fingerprint

CODE = '''"""Docstring."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from somewhere import Something


def double(x: Something) -> int:
    """Twice x."""
    from parcel.inner import deep  # a function-level import counts

    return 2 * deep(x)
'''


@pytest.fixture
def parcel(tmp_path, monkeypatch):
    """A small package: a function that writes one of its files and returns the fingerprint of its entry module."""
    monkeypatch.syspath_prepend(tmp_path)
    files = {
        "__init__.py": "",
        "entry.py": CODE,
        "other.py": "VALUE = 1\n",
        "inner/__init__.py": "",
        "inner/deep.py": "from .. import leaf\n\n\ndef deep(x):\n    return x + leaf.ONE\n",
        "leaf.py": "ONE = 1\n",
    }

    def write(name: str = "entry.py", text: str | None = None) -> str:
        path = tmp_path / "parcel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name] if text is None else text)
        graph.clear()
        return code_fingerprint(("parcel.entry",))

    for name in files:
        write(name)
    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "parcel"]:
        del sys.modules[name]


def test_it_is_16_hex_digits_and_stable(parcel):
    assert parcel() == parcel()
    assert len(parcel()) == 16
    int(parcel(), 16)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Twice x.", "Two times x."),
        ('"""Docstring."""', '"""Another."""'),
        ("    return 2 * deep(x)", "    # a remark\n\n    return (2 * deep(x))  # another"),
        ("from somewhere import Something", "from elsewhere import Something"),
    ],
)
def test_comments_docstrings_and_formatting_change_nothing(parcel, old, new):
    before = parcel()
    assert old in CODE
    assert parcel("entry.py", CODE.replace(old, new)) == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("entry.py", CODE.replace("2 *", "3 *")),
        ("inner/deep.py", "from .. import leaf\n\n\ndef deep(x):\n    return x - leaf.ONE\n"),
        ("leaf.py", "ONE = 2\n"),
        ("inner/__init__.py", "import sys\n\nsys.setrecursionlimit(5000)\n"),
    ],
)
def test_code_that_is_executed_counts_wherever_it_is_imported(parcel, name, text):
    before = parcel()
    assert parcel(name, text) != before


def test_code_that_is_not_imported_does_not_count(parcel):
    before = parcel()
    assert parcel("other.py", "VALUE = 2\n") == before


def test_settings_of_a_package_that_is_not_ours_count(parcel):
    """They do not arrive in the configuration of a rule, as ours do."""
    before = parcel("entry.py", CODE.replace("parcel.inner import deep", "parcel.settings import deep"))
    with_settings = parcel("settings.py", "def deep(x):\n    return x\n")
    assert before != with_settings
    assert parcel("settings.py", "def deep(x):\n    return -x\n") != with_settings
    assert not {name for name in modules_of("train", method="pdcr") if name.endswith(".settings")}


def modules_of(stage: str, **what: str) -> set[str]:
    """The modules of the definitions behind a stage's fingerprint."""
    return modules_reached(fingerprints.stage_roots(stage, **what))


def test_training_is_its_method_the_loop_networks_and_losses_but_no_other_method():
    seen = modules_of("train", method="pdcr")
    expected = {"training.run", "training.loop", "training.batches", "networks.unet", "losses.pdcr", "methods.pdcr"}
    expected |= {"training.stages"}  # how settings are merged is no setting
    assert {f"contrastseg.{name}" for name in expected | {"methods.contract", "evaluation.metrics.overlap"}} <= seen
    assert not {
        name for name in seen if name.startswith(("contrastseg.report", "contrastseg.cli", "contrastseg.suite"))
    }
    assert not seen & {
        f"contrastseg.{name}" for name in ("methods.supervised", "methods.mean_teacher", "files", "errors")
    }
    assert {name for name in seen if name.startswith("contrastseg.evaluation.")} == {
        "contrastseg.evaluation.metrics.overlap"
    }


def test_an_engine_counts_for_its_method_alone():
    engine = {f"contrastseg.training.nnunet{part}" for part in ("", ".data", ".network", ".trainer")}
    for stage in ("train", "predict"):
        assert engine <= modules_of(stage, method="nnunet")
        assert not engine & modules_of(stage, method="supervised")


def test_scoring_is_evaluation_and_the_data_it_reads():
    seen = modules_of("score")
    assert {"contrastseg.evaluation.metrics.case_scores", "contrastseg.evaluation.metrics.conventions"} <= seen
    assert not {name for name in seen if name.split(".")[1] in ("training", "methods", "networks", "report")}


def test_preparation_is_that_of_its_data_set():
    seen = modules_of("prepare", dataset="phantom_lesions")
    assert "contrastseg.data.datasets.phantom_lesions" in seen
    assert "contrastseg.data.datasets.acdc" not in seen
    lesions = stage_fingerprint("prepare", dataset="phantom_lesions")
    assert lesions != stage_fingerprint("prepare", dataset="phantom_organs")


@pytest.mark.parametrize("stage", fingerprints._ROOTS)
def test_every_stage_names_what_exists(stage):
    for root in fingerprints._ROOTS[stage]:
        if "{" not in root:
            assert modules_reached([root]), root
    assert stage_fingerprint(stage, method="supervised", dataset="phantom_lesions")


def test_what_is_left_out_and_what_reads_data_exists():
    """A module that was moved and forgotten here would count, or its data would not."""
    for name in (*left_out.LEFT_OUT, *fingerprints._DATA, *fingerprints._FILES.values()):
        assert modules.source(name) is not None, name
    for name in left_out.WORDING:
        place, _, last = name.rpartition(".")
        assert modules.source(name) is not None or last in modules.module(place).bindings, name


def test_templates_of_the_report_count():
    templates = {path.name for path in modules.files_below(fingerprints._FILES["report"])}
    assert any(name.endswith(".j2") for name in templates)


def test_unknown_stage_lists_the_known_ones():
    with pytest.raises(SuiteError, match=r"there are: .*score"):
        stage_fingerprint("scoring")


def test_nothing_is_imported_to_fingerprint_training():
    code = (
        "import sys; from contrastseg.fingerprints import stage_fingerprint as f; f('train', method='pdcr');"
        "print(sorted({'torch', 'contrastseg.training.run', 'contrastseg.losses.pdcr'} & set(sys.modules)))"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_a_corrected_printed_number_redraws_the_tables(monkeypatch, tmp_path):
    before = {stage: stage_fingerprint(stage) for stage in ("score", "compare", "tabulate", "report")}
    monkeypatch.setattr(fingerprints, "SHIPPED", tmp_path)
    fingerprints.stage_fingerprint.cache_clear()
    changed = {stage for stage, old in before.items() if stage_fingerprint(stage) != old}
    fingerprints.stage_fingerprint.cache_clear()
    assert changed == {"tabulate", "report"}
