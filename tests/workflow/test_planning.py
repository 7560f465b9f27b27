"""What Snakemake says before any job starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.planning import expand
from contrastseg.suite import parse_suite
from tests.miniatures._nnunet import make_photos
from tests.workflow.conftest import jobs
from tests.workflow.full_suite import FROM_A_FILE, OPT_IN, complete_lists, full, write_data

ROOT = Path(__file__).resolve().parents[2]


def test_the_snakefile_reads_like_a_table_of_contents():
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 40
    assert len((ROOT / "workflow" / "rules" / "common.smk").read_text().splitlines()) <= 150


def test_every_method_of_the_package_has_its_rule_file():
    rules = {path.stem for path in (ROOT / "workflow" / "rules" / "methods").glob("*.smk")}
    package = {name for name in registry.names() if registry.module_of(name).startswith("contrastseg.methods.")}
    assert rules == package


@pytest.mark.parametrize("profile", sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml")))
def test_profiles_name_options_that_exist(profile):
    from snakemake.cli import get_argument_parser

    known = {option.lstrip("-") for action in get_argument_parser()._actions for option in action.option_strings}
    options = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())
    assert set(options) <= known


def test_the_plain_command_runs_the_full_benchmark_and_lists_all_data_it_lacks(fresh):
    done = fresh.snakemake("--resources", "gpu=4", "--dry-run", cores="all")
    assert done.returncode != 0
    assert "profiles/default" in done.stdout
    for entry in ("digestpath", "btcv_2d_18_12", "acdc_2d"):
        assert f"\n{entry}: " in done.stdout, "every one at once"
    assert done.stdout.count("Fix: (1) ") == 3, "each with the steps to get it"
    assert "Job stats" not in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.long
def test_the_plain_command_plans_the_rest_where_it_is_told_to(fresh):
    arguments = ("--resources", "gpu=4", "--config", "skip_unavailable=true", "--quiet", "rules", "--dry-run")
    done = fresh.snakemake(*arguments, cores="all")
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["download"] == planned["prepare"] == 7
    trained = {f"train_{method}" for method in set(registry.names()) - OPT_IN - FROM_A_FILE}
    assert trained - set(planned) == {"train_glcl"}, "no slices without ACDC"
    assert planned["report"] == 1


def test_the_full_benchmark_with_all_its_data(tmp_path):
    suite = full()
    write_data(tmp_path, suite)
    complete_lists(tmp_path)
    plan = expand(parse_suite(suite)[0], data_root=tmp_path)
    assert {run.method for run in plan.runs} == set(registry.names()) - OPT_IN - FROM_A_FILE
    assert {run.entry for run in plan.runs} == {entry["name"] for entry in suite["datasets"]} - {"ph2"}
    here = {(run.entry, run.method, run.labels) for run in plan.runs}
    assert {labels for dataset, _, labels in here if dataset == "acdc_2d"} == set(suite["labels"])
    left_out = {(item["dataset"], item["method"], item["labels"]) for item in plan.skipped if item["reason"]}
    assert len(here) + len(left_out) == 9 * len(suite["methods"]) * len(suite["labels"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methodz": []}, ["line ", "methodz", "there are", "methods"]),
        ({"methods": ["supervisd"]}, ["supervisd", "mean_teacher", "pdcr"]),
    ],
)
def test_a_wrong_suite_is_an_error_before_any_job_and_lists_what_there_is(fresh, changes, words):
    fresh.write_suite(name="wrong", **changes)
    done = fresh.snakemake("--configfile", "wrong.yaml")
    assert done.returncode != 0
    assert not [word for word in words if word not in done.stdout], done.stdout
    assert "Traceback" not in done.stdout
    assert "Job stats" not in done.stdout


def test_missing_data_is_listed_and_can_be_skipped(fresh):
    fresh.write_suite(name="absent", datasets=["phantom_lesions", "acdc"])
    done = fresh.snakemake("--configfile", "absent.yaml", "--dry-run")
    assert done.returncode != 0
    assert "acdc" in done.stdout
    assert "(1)" in done.stdout, "the steps to get it"
    assert "skip_unavailable" in done.stdout
    done = fresh.snakemake("--configfile", "absent.yaml", "--dry-run", "--config", "skip_unavailable=true")
    assert done.returncode == 0, done.stdout
    assert "runs/acdc" not in done.stdout


def test_own_data_needs_no_download_and_no_code(fresh):
    make_photos(fresh.work / "raw" / "Dataset001_Moles", cases=10)
    fresh.write_suite(name="own", datasets=[{"name": "moles", "nnunet": "raw/Dataset001_Moles"}])
    planned = fresh.planned(suite="own")
    assert "download" not in planned
    assert (planned["prepare"], planned["split"]) == (1, 1)
    assert planned["predict"] == planned["score"] == 2


WITH_ANOTHER_NAME = 'use rule train as train_mean_teacher with:\n    wildcard_constraints:\n        method="x",\n'


@pytest.mark.parametrize("wrong", ["", WITH_ANOTHER_NAME])
def test_a_method_without_a_rule_of_its_own_says_which_file_to_write(fresh, wrong):
    rule = fresh.code / "workflow" / "rules" / "methods" / "mean_teacher.smk"
    text = rule.read_text()
    rule.write_text(wrong)
    try:
        done = fresh.snakemake("--configfile", "tiny.yaml", "--dry-run")
    finally:
        rule.write_text(text)
    assert done.returncode != 0
    assert "'mean_teacher' is missing" in done.stdout
    assert "workflow/rules/methods/mean_teacher.smk" in done.stdout


def test_pre_training_serves_every_budget_unless_it_uses_labels(fresh):
    (fresh.code / "contrastseg" / "methods" / "staged.py").write_text(STAGED)
    (fresh.code / "workflow" / "rules" / "methods" / "staged.smk").write_text(
        'use rule train as train_staged with:\n    wildcard_constraints:\n        method="staged",\n'
    )
    fresh.write_suite(name="staged", methods=["supervised", "staged"], labels=["r0.4", "r0.6"])
    done = fresh.snakemake("--configfile", "staged.yaml", "--dry-run")
    assert done.returncode == 0, done.stdout
    (fresh.code / "contrastseg" / "methods" / "staged.py").unlink()
    (fresh.code / "workflow" / "rules" / "methods" / "staged.smk").unlink()
    assert "staged/default/pretrain-look/draw0-fold0-seed0/run.json" in done.stdout
    assert "staged/default/pretrain-read/r0.4/draw0-fold0-seed0/run.json" in done.stdout
    assert done.stdout.count("\nrule pretrain:") + done.stdout.count("\nlocalrule pretrain:") == 2 * (1 + 2)


STAGED = '''"""A method with two stages before training, one without labels."""

from contrastseg.methods.contract import Stage, InitialWeights, View
from contrastseg.methods.supervised import Supervised


class Staged(Supervised):
    """Looks, reads, trains."""

    name = "staged"
    stages = (
        Stage("look", {"labelled": View("unlabelled")}),
        Stage("read", {"labelled": View("labelled")}, init_from=(InitialWeights("look", ("network",)),)),
        Stage("train", {"labelled": View("labelled")}, init_from=(InitialWeights("read", ("network",)),)),
    )
'''


def test_a_patch_of_other_dimensions_than_the_images_is_found_before_anything_starts():
    wanted = {"name": "s", "datasets": [{"name": "phantom_organs", "spatial_dims": 3}], "methods": ["supervised"]}
    suite, _ = parse_suite(wanted)
    with pytest.raises(SuiteError, match=r"supervised.* on phantom_organs sees 3D images.*\[96, 96\]") as caught:
        expand(suite)
    assert "patch_size: [96, 96, 96]" in caught.value.remedy
    entry = wanted["datasets"][0] | {"training": {"patch_size": [16, 32, 32]}}
    suite, _ = parse_suite(wanted | {"datasets": [entry]})
    assert expand(suite).runs


def test_a_file_of_a_hostile_name_is_made_by_no_rule(fresh):
    done = fresh.snakemake("--configfile", "tiny.yaml", "--dry-run", "resources/raw/$(touch x)/checksums.json")
    assert done.returncode != 0
    assert "MissingRuleException" in done.stdout
