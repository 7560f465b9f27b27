"""Every command that the documents show is run by a test, or stands in a list here with the reason why not."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from contrastseg.cli import app
from tests.docs.checkout import Checkout
from tests.docs.pages import DOCS, PAGES, ROOT, commands, made

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands

# Run from top to bottom, word for word, by test_tutorials.py.
FOLLOWED = (
    DOCS / "tutorial-method.md",
    DOCS / "tutorial-data.md",
    DOCS / "tutorial-predictions.md",
    DOCS / "submit.md",
)

# Run below, word for word, in a copy of the repository.
RUN_HERE = (
    "contrastseg doctor",
    "contrastseg plan benchmarks/demo.yaml",
    "contrastseg plan benchmarks/acdc_small.yaml",
    "contrastseg plan benchmarks/full.yaml",
    "contrastseg suites",
    "contrastseg score --prediction my_predictions/ --reference my_labels/ --output scores.csv",
    "snakemake --configfile benchmarks/demo.yaml --cores all --dry-run --quiet rules",
)

# Run with other paths, data or sizes by the test that is named.
ELSEWHERE = {
    "contrastseg run demo": "tests/wheel/test_installed.py::test_from_run_demo_to_a_report_which_a_checkout_continues",
    "pip wheel --no-deps --wheel-dir dist .": (
        "tests/wheel/test_installed.py::test_from_run_demo_to_a_report_which_a_checkout_continues"
    ),
    "contrastseg run full --profile profiles/slurm": (
        "tests/cli/test_suites.py::test_a_profile_of_the_package_is_found_from_any_folder"
    ),
    "contrastseg run demo --until split": "tests/docs/test_tutorials.py::test_submit_your_row",
    "contrastseg export-protocol demo --entry lesions --output protocol.json": (
        "tests/entered/test_protocol.py::test_an_exported_protocol_has_what_a_stranger_needs_and_no_images"
    ),
    "contrastseg enter my_predictions/ --suite demo --entry lesions --method my_unet --labels r0.05 --protocol"
    " protocol.json": "tests/entered/test_protocol.py::test_another_protocol_is_refused",
    "make demo": "tests/workflow/test_demo.py::test_a_second_run_does_nothing",  # its commands; .ci/run runs make
    "snakemake --configfile benchmarks/acdc_small.yaml --cores all --resources gpu=4": (
        "tests/workflow/test_devices.py::test_four_runs_at_once_hold_four_devices"
    ),
    "snakemake --cores all --resources gpu=4": (
        "tests/workflow/test_mission.py::test_the_full_benchmark_from_published_files_to_the_report"
    ),
    "contrastseg predict --checkpoint results/.../checkpoints/last.ckpt --input my_images/ --output my_predictions/": (
        "tests/cli/test_by_hand.py::test_the_road_by_hand_in_single_commands"
    ),
    "OMP_NUM_THREADS=1 python benchmarks/speed/methods.py": "tests/test_speed.py::test_steps_of_methods",
    "contrastseg collect --partial --results results/demo": (
        "tests/cli/test_remake.py::test_what_waits_or_failed_is_left_out_and_named"
    ),
    "contrastseg report results/demo/unfinished/scores.parquet": (
        "tests/cli/test_remake.py::test_what_waits_or_failed_is_left_out_and_named"
    ),
    "python -m tests.soak --suite benchmarks/demo.yaml --rounds 10 --output results/soak.csv": (
        "tests/workflow/test_soak.py::test_kills_restarts_and_equal_results_are_counted"
    ),
    "snakemake --profile profiles/slurm --configfile benchmarks/full.yaml": (
        "tests/cluster/test_slurm.py::test_every_job_goes_through_slurm_with_its_limits"
    ),
    "python -m tests.cluster.slurm_node /tmp/slurm snakemake --profile profiles/slurm --configfile benchmarks/demo.yaml"
    " --slurm-status-command squeue": "tests/cluster/test_slurm.py::test_a_whole_suite",
}

NOT_RUN = {
    "make test": "it is what runs this test",
    "source .venv/bin/activate": "made by make; the tutorials' tests have one of their own",
    "export CONTRASTSEG_DATA=/path/to/datasets": "the reader's own folder",
    "docker build --tag registry.example.org/contrastseg:0.1.0 .": "no container engine here",
    "docker run --rm --gpus all --volume $PWD/work:/work --volume /path/to/datasets:/data:ro"
    " --env CONTRASTSEG_DATA=/data registry.example.org/contrastseg:0.1.0 contrastseg run demo": (
        "no container engine here"
    ),
    "pip install --constraint requirements.lock dist/contrastseg-*.whl": (
        "the package index may be out of reach; tests/wheel installs the wheel beside installed dependencies"
    ),
    "snakemake --profile profiles/slurm --configfile benchmarks/full.yaml --default-resources slurm_account=ACCOUNT"
    " slurm_partition=PARTITION mem_mb=4000 runtime=60": "the Slurm of the tests keeps no accounts",
}

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
WRITTEN = {command for page in DOCUMENTS if page not in FOLLOWED for command in commands(page)}


@pytest.fixture(scope="module")
def shown() -> set[str]:
    """What all pages show, those too that are made when the site is built."""
    return WRITTEN | {command for page in made().values() for command in commands(page)}


def test_every_command_is_run_or_has_a_reason(shown: set[str]) -> None:
    known = {*RUN_HERE, *ELSEWHERE, *NOT_RUN}
    assert not shown - known, "run them in a test, or say here why not"
    assert not known - shown, "no document shows these any more"


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_the_tests_that_run_them_exist(place: str) -> None:
    file, _, name = place.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy with two masks to score."""
    found = Checkout.make(tmp_path_factory.mktemp("commands") / "code")
    for folder in ("my_predictions", "my_labels"):
        (found.folder / folder).mkdir()
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(found.folder / folder / "case.png")
    return found


@pytest.mark.parametrize("command", RUN_HERE)
def test_it_runs(command: str, checkout: Checkout) -> None:
    checkout.run(command, command)
    assert (checkout.folder / "scores.csv").is_file() == ("scores.csv" in command)
    (checkout.folder / "scores.csv").unlink(missing_ok=True)


def parse(command: str) -> None:
    """The parser knows every name in it."""
    _, name, *arguments = shlex.split(command)
    COMMANDS[name].make_context(name, arguments, resilient_parsing=False)


@pytest.mark.parametrize("command", sorted(c for c in WRITTEN if c.startswith("contrastseg ")))
def test_its_options_exist(command: str) -> None:
    """Also where a command is not run word for word."""
    parse(command)


def test_the_options_of_made_pages_exist(shown: set[str]) -> None:
    for command in sorted(c for c in shown - WRITTEN if c.startswith("contrastseg ")):
        parse(command)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_what_sentences_say_of_commands_is_so(page: Path) -> None:
    """Commands inside a line of text, and the list of commands in the README: names and options exist."""
    text = page.read_text(encoding="utf-8")
    said = re.findall(r"`contrastseg ([a-z][^`]*)`", text) + re.findall(r"^contrastseg (.*?)  +\w", text, re.MULTILINE)
    for names, arguments in (re.fullmatch(r"([\w-]+(?: \| [\w-]+)*)(.*)", line, re.DOTALL).groups() for line in said):
        for name in names.split(" | "):
            assert name in COMMANDS, f"{page.name}: contrastseg {name}"
            if COMMANDS[name].context_settings.get("ignore_unknown_options"):  # Snakemake's
                continue
            known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
            assert set(re.findall(r"(?<!\S)--[\w-]+", arguments)) <= known | {"--help"}, f"{name}{arguments}"
