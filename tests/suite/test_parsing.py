"""What a suite may say, what it is told when it says something else, and the runs it comes to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contrastseg import planning
from contrastseg.data.prepare import recipe as rule
from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.planning.data_paths import prepared_of
from contrastseg.suite import Suite, json_schema, load_suite, parse_suite
from tests.workflow.full_suite import FROM_A_FILE, OPT_IN

ROOT = Path(__file__).resolve().parents[2]
SUITES = sorted((ROOT / "benchmarks").glob("*.yaml"))

ORACLE = {"checkpoints": ["last", "best_test"], "training": {"steps": 9, "snapshot_every": 3}}


def suite(**changes) -> dict:
    """A small suite as a mapping."""
    return {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 20}}],
        "methods": ["supervised", "mean_teacher"],
        "labels": ["r0.5"],
        **changes,
    }


def complaint(**changes) -> str:
    with pytest.raises(SuiteError) as caught:
        parse_suite(suite(**changes))
    return str(caught.value)


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_committed_suites_are_valid_and_named_after_their_file(path):
    assert load_suite(path).name == path.stem


def test_an_entry_means_the_same_in_every_committed_suite():
    prepared: dict[str, tuple] = {}
    for path in SUITES:
        for entry in load_suite(path).datasets:
            says = (entry.dataset, entry.options, rule.resolve(entry.spec, entry.preparation))
            assert prepared.setdefault(entry.name, says) == says, f"{entry.name} of {path.name} is another one's too"


def test_the_default_suite_has_every_method_of_the_package_or_it_is_opt_in():
    package = {name for name in registry.names() if registry.module_of(name).startswith("contrastseg.methods.")}
    assert {
        method.name for method in load_suite(ROOT / "benchmarks" / "full.yaml").methods
    } == package - OPT_IN - FROM_A_FILE
    for suite in ("acdc", "la"):
        assert {method.name for method in load_suite(ROOT / "benchmarks" / f"{suite}.yaml").methods} >= OPT_IN


def test_the_committed_schema_is_the_generated_one():
    assert (ROOT / "workflow" / "schemas" / "suite.schema.json").read_text(encoding="utf-8") == json_schema()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seedz": [0]}, ["seedz", "there are", "seeds", "methods"]),
        ({"training": {"stepz": 3}}, ["training.stepz", "steps", "batch_size"]),
        ({"methods": ["supervisd"]}, ["'supervisd'", "mean_teacher", "pdcr_uafr", "did you mean 'supervised'?"]),
        ({"methods": "supervised"}, ["methods: must be a list, such as [supervised]"]),
        ({"methods": ["supervised", {"name": "pdcr", "variants": ["nope"]}]}, ["variant of pdcr", "nope", "default"]),
        ({"methods": [{"name": "mean_teacher", "settings": {"dekay": 1}}]}, ["dekay", "decay", "consistency_weight"]),
        ({"methods": [{"name": "supervised", "training": {"stepz": 1}}]}, ["methods, supervised", "stepz", "steps"]),
        ({"name": "tiny", "also_show": ["tiny"]}, ["also_show", "tiny"]),
        ({"also_show": ["other", "other"]}, ["also_show", "other", "twice"]),
        ({"also_show": ["../other"]}, ["also_show"]),
        ({"datasets": ["phantom_lesion"]}, ["phantom_lesion", "phantom_lesions", "acdc"]),
        ({"datasets": [{"name": "phantom_lesions", "options": {"casez": 1}}]}, ["casez", "cases", "seed"]),
        ({"datasets": [{"name": "phantom_lesions", "split": {"name": "x"}}]}, ["split of phantom_lesions", "random"]),
        ({"datasets": [{"name": "phantom_lesions", "preparation": {"sizes": 1}}]}, ["sizes"]),
        ({"datasets": [{"name": "a", "dataset": "phantom_lesions", "evaluate_on": ["b"]}]}, ["evaluate a on", "'b'"]),
        ({"evaluation": {"metrics": ["dise"]}}, ["dise", "dice", "hd95"]),
        ({"evaluation": {"convention": "mine"}}, ["mine", "medpy", "transunet"]),
        ({"evaluation": {"nsd_tolerance": {"lesoin": 1}}}, ["evaluation.nsd_tolerance", "lesoin", "lesion"]),
        (
            {"datasets": ["phantom_organs"], "evaluation": {"nsd_tolerance": {"liver": 2.0}}},
            ["nsd_tolerance has none for", "of phantom_organs", "name every class"],
        ),
        ({"tables": [{"name": "t", "kind": "conventions"}]}, ["t shows conventions", "evaluation.also_conventions"]),
        ({"comparison": {"baseline": "pdcr"}}, ["baseline", "pdcr", "supervised"]),
        ({"comparison": {"metrics": ["nsd"]}}, ["comparison.metrics asks for nsd", "evaluation.metrics scores: dice"]),
        ({"comparison": {"metrics": ["miou_pooled"]}}, ["comparison.metrics asks for miou_pooled"]),
        ({"evaluation": {"metrics": ["hd95"]}}, ["comparison.metrics asks for dice", "scores: hd95"]),
        ({"tables": [{"name": "t", "metrics": ["dice", "hd59"]}]}, ["metric in t:", "'hd59'", "hd95", "miou"]),
        ({"tables": [{"name": "t", "metrics": ["asd"]}]}, ["t cannot show asd", "kind main", "dice, iou"]),
        ({"tables": [{"name": "t", "kind": "comparison", "metrics": ["hd95"]}]}, ["t cannot show hd95", "show: dice"]),
        ({"tables": [{"name": "t", "decimals": {"dise": 2}}]}, ["decimals of t:", "'dise'", "dice"]),
        ({"figures": [{"name": "f", "kind": "box", "metric": "dise"}]}, ["metric in f:", "'dise'", "dice"]),
        ({"figures": [{"name": "f", "kind": "box", "metric": "miou"}]}, ["f cannot show miou", "kind box", "iou"]),
        ({"figures": [{"name": "f", "kind": "overlays", "metric": "hd95"}]}, ["f cannot show hd95", "dice, iou"]),
        ({"training": {"network": {"name": "unett"}}}, ["training.network", "network 'unett'", "unet", "vnet"]),
        ({"training": {"network": {"chanels": [8]}}}, ["option of network unet 'chanels'", "channels", "strides"]),
        (
            {"methods": ["supervised", {"name": "mean_teacher", "training": {"network": {"name": "unett"}}}]},
            ["methods, mean_teacher, training: network", "'unett'", "unet"],
        ),
        (
            {"methods": ["supervised", {"name": "moco", "stages": {"pretrain": {"stepz": 1}}}]},
            ["methods, moco, stages, pretrain", "stepz", "steps", "batch_size"],
        ),
        (
            {"methods": ["supervised", {"name": "moco", "stages": {"train": {"optimiser": {"name": "adamm"}}}}]},
            ["methods, moco, stages, train", "optimiser.name", "adamw"],
        ),
        (
            {"methods": ["supervised", {"name": "moco", "stages": {"train": {"network": {"width": 3}}}}]},
            ["methods, moco, stages, train", "option of network unet 'width'", "channels"],
        ),
        ({"methods": ["supervised", {"name": "nnunet", "settings": {"epochs": 0}}]}, ["nnunet", "train", "steps"]),
        ({"tables": [{"name": "t", "labels": ["r1"]}]}, ["label budget in t", "r0.5"]),
        ({"figures": [{"name": "f", "kind": "pie"}]}, ["figures.0.kind", "box"]),
        ({"labels": ["0.5"]}, ["0.5", "r0.25"]),
        ({"labels": ["r0.0"]}, ["r0.0"]),
        ({"labels": [7]}, ["ambiguous", "n7"]),
        ({"labels": ["r0.5", "r0.50"]}, ["twice"]),
        ({"labels": []}, ["labels"]),
        ({"seeds": [0, 0]}, ["seeds", "twice"]),
        ({"seeds": [-1]}, ["seeds.0"]),
        ({"folds": [0, 1]}, ["fold 1", "folds: 1"]),
        ({"methods": ["supervised", "supervised"]}, ["supervised", "twice"]),
        ({"checkpoints": ["best"]}, ["checkpoints", "best_val"]),
        ({"checkpoints": ["best_val"]}, ["best_val", "validate_every"]),
        (
            {
                "checkpoints": ["best_val"],
                "training": {"validate_every": 5},
                "methods": ["supervised", {"name": "moco", "stages": {"train": {"validate_every": 0}}}],
            },
            ["best_val", "validate_every"],
        ),
        ({"checkpoints": ["last", "best_test"]}, ["best_test", "snapshot_every", "no run"]),
        (
            {"checkpoints": ["last", "best_test"], "training": {"steps": 9, "snapshot_every": 9}},
            ["best_test", "snapshot_every", "supervised"],
        ),
        ({"training": {"steps": 900, "snapshot_every": 2}}, ["449 snapshots", "snapshot_every to 18"]),
        ({"training": {"epochs": 60, "snapshot_every": 1}}, ["59 snapshots of 60 epochs", "snapshot_every to 2"]),
        ({**ORACLE, "checkpoints": ["best_test"]}, ["best_test", "never alone"]),
        ({**ORACLE, "evaluation": {"metrics": ["iou"]}, "comparison": {"metrics": ["iou"]}}, ["best_test", "dice"]),
        (
            {**ORACLE, "figures": [{"name": "f", "kind": "overlays", "checkpoints": ["best_test"]}]},
            ["f shows predictions", "best_test"],
        ),
        ({"tables": [{"name": "t", "kind": "selection"}]}, ["t shows", "best_test"]),
    ],
)
def test_what_is_wrong_is_named_together_with_what_there_is(changes, words):
    said = complaint(**changes)
    assert not [word for word in words if word not in said], said


def test_what_is_scored_can_be_tested_and_drawn_and_what_is_usual_is_what_is_scored():
    asked, _ = parse_suite(
        suite(
            evaluation={"metrics": ["nsd", "hd95", "miou"], "also_conventions": ["medpy"]},
            comparison={"metrics": ["hd95", "miou"]},
        )
    )
    assert {table.name: table.metrics for table in asked.tables} == {
        "main": ["hd95"],
        "comparison": None,
        "classes": ["nsd"],
        "variance": ["hd95"],
        "conventions": ["hd95"],
    }
    assert {figure.metric for figure in asked.figures if figure.kind == "box"} == {"nsd"}
    assert {figure.name for figure in asked.figures if figure.kind == "conventions"} == {"conventions_hd95"}
    drawn = [{"name": "a", "metrics": ["miou", "iou"]}, {"name": "b", "kind": "comparison", "metrics": ["iou"]}]
    figures = [{"name": "c", "kind": "significance", "metric": "miou"}, {"name": "d", "kind": "learning_curves"}]
    scored = {"evaluation": {"metrics": ["miou"]}, "comparison": {"metrics": ["miou"]}}
    assert len(parse_suite(suite(tables=drawn, figures=figures, **scored))[0].tables) == 2


def test_usual_figures_show_the_first_of_several_checkpoints():
    several, _ = parse_suite(suite(checkpoints=["last", "best_val"], training={"validate_every": 10}))
    assert {tuple(figure.checkpoints) for figure in several.figures} == {("last",)}
    oracle, _ = parse_suite(suite(**ORACLE | {"checkpoints": ["best_test", "last"]}))
    assert {tuple(figure.checkpoints) for figure in oracle.figures} == {("last",)}
    assert "selection" in [table.kind for table in oracle.tables]
    one, _ = parse_suite(suite(checkpoints=["last"]))
    assert {figure.checkpoints for figure in one.figures} == {None}


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "-rf", "a b", "a\nb", "$(rm)", "ä", "x" * 101])
def test_hostile_names_are_refused(name):
    assert "name" in complaint(name=name)
    assert "name" in complaint(datasets=[{"name": name, "dataset": "phantom_lesions"}])


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)))
def test_no_mapping_is_answered_with_anything_but_a_suite_or_a_suite_error(config):
    with pytest.raises(SuiteError):
        parse_suite(config)


def test_all_faults_are_listed_with_their_lines(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: s\ndatasets: [phantom_lesions]\nmethods: [supervised]\ntraining:\n  stepz: 1\nseedz: [0]\n")
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert "line 5, training.stepz" in str(caught.value)
    assert "line 6, seedz" in str(caught.value)
    assert caught.value.file == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "YAML"),
        ("- a\n- b\n", "mapping"),
        ("name: s\nseeds: [0]\nseeds: [1]\n", "line 3: key 'seeds' is there twice (first in line 2)"),
    ],
)
def test_files_that_are_no_suite(tmp_path, text, words):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert words in str(caught.value)


def test_a_missing_file_lists_the_suites_beside_it(tmp_path):
    (tmp_path / "there.yaml").write_text("name: there\n")
    with pytest.raises(SuiteError, match=r"there\.yaml"):
        load_suite(tmp_path / "absent.yaml")


def test_overrides_get_stronger_from_suite_to_entry_to_method():
    asked, _ = parse_suite(
        suite(
            training={"steps": 1, "batch_size": 1, "log_every": 1},
            datasets=[{"name": "lesions", "dataset": "phantom_lesions", "training": {"steps": 2, "batch_size": 2}}],
            methods=["supervised", {"name": "mean_teacher", "training": {"steps": 3}}],
        )
    )
    found = planning.run_config(asked, "lesions", "mean_teacher", "default")["training"]
    assert (found["steps"], found["batch_size"], found["log_every"]) == (3, 2, 1)
    assert planning.run_config(asked, "lesions", "supervised", "default")["training"]["steps"] == 2


def test_variants_of_the_method_and_of_the_suite():
    variants = {"default": {}, "slow": {"decay": 0.5}}
    asked, _ = parse_suite(suite(methods=["supervised", {"name": "mean_teacher", "variants": variants}]))
    assert planning.run_config(asked, "lesions", "mean_teacher", "slow")["settings"]["decay"] == 0.5
    assert planning.run_config(asked, "lesions", "mean_teacher", "default")["settings"]["decay"] == 0.99


def test_runs_are_the_product_of_the_axes_one_seed_of_everything_first():
    asked, _ = parse_suite(suite(seeds=[5, 3], draws=[0, 1], labels=["r0.25", "r0.5"]))
    runs = planning.expand(asked).runs
    assert len(runs) == len(set(runs)) == 2 * 2 * 2 * 2
    assert [run.seed for run in runs] == [5] * 8 + [3] * 8
    assert {run.draw for run in runs[:4]} == {0}
    assert str(runs[0].folder).startswith("results/small/runs/lesions/")


def test_methods_that_do_not_apply_are_reasons_not_silent_holes():
    plan = planning.expand(parse_suite(suite(labels=["r0.5", "r1"]))[0])
    assert {(run.method, run.labels) for run in plan.runs} == {
        ("supervised", "r0.5"),
        ("supervised", "r1"),
        ("mean_teacher", "r0.5"),
    }
    (left_out,) = plan.skipped
    assert (left_out["dataset"], left_out["method"], left_out["labels"]) == ("lesions", "mean_teacher", "r1")
    assert "unlabelled" in left_out["reason"]
    assert left_out["provenance"] == "published"


def test_budgets_that_come_to_the_same_count_run_once():
    plan = planning.expand(parse_suite(suite(labels=["r0.01", "n1", "r0.1"]))[0])  # 14 training patients
    assert {run.labels for run in plan.runs} == {"r0.01"}
    assert {item["labels"] for item in plan.skipped} == {"n1", "r0.1"}
    assert all("run once" in item["reason"] for item in plan.skipped)


def test_more_patients_than_there_are():
    with pytest.raises(SuiteError, match="15 labelled patients are asked for"):
        planning.expand(parse_suite(suite(labels=["n15"]))[0])


def test_an_entry_that_others_are_evaluated_on_trains_nothing():
    entries = [
        {"name": "here", "dataset": "phantom_lesions", "evaluate_on": ["here", "there"]},
        {"name": "there", "dataset": "phantom_lesions", "options": {"seed": 1}, "evaluate_on": []},
    ]
    plan = planning.expand(parse_suite(suite(datasets=entries, methods=["supervised"]))[0])
    assert {run.entry for run in plan.runs} == {"here"}
    assert [other for _, other, _ in plan.evaluations()] == ["here", "there"]


def test_data_that_is_not_here_is_listed_at_once_or_left_out(tmp_path):
    entries = ["phantom_lesions", "acdc", {"name": "acdc_2", "dataset": "acdc"}]
    asked, _ = parse_suite(suite(datasets=entries))
    missing = planning.missing_data(asked, None, tmp_path)
    assert set(missing) == {"acdc", "acdc_2"}
    assert "CONTRASTSEG_DATA" in planning.describe_missing(missing)
    plan = planning.expand(asked, missing, None, tmp_path)
    assert {run.entry for run in plan.runs} == {"phantom_lesions"}
    assert {item["dataset"] for item in plan.skipped} == {"acdc", "acdc_2"}
    with pytest.raises(SuiteError, match="suite small is skipped"):
        planning.expand(parse_suite(suite(datasets=["acdc"]))[0], missing, None, tmp_path)


def test_data_of_ones_own_is_found_and_prepared_data_needs_no_raw_files(tmp_path):
    asked, _ = parse_suite(suite(datasets=["acdc"]))
    (tmp_path / "mine" / "ACDC").mkdir(parents=True)
    assert not planning.missing_data(asked, tmp_path / "mine", tmp_path)
    prepared = prepared_of(asked.entry("acdc"), tmp_path)
    prepared.mkdir(parents=True)
    (prepared / "manifest.json").write_text("{}")
    assert not planning.missing_data(asked, None, tmp_path)


def test_the_plan_survives_json():
    plan = planning.expand(parse_suite(suite())[0])
    value = json.loads(json.dumps(plan.to_json()))
    assert value["runs"][0]["folder"].startswith("runs/lesions/")
    assert Suite.model_validate(value["suite"]).name == "small"


def test_only_the_fold_and_draw_of_a_run_count(tmp_path):
    split = {
        "folds": [{"train": ["a", "b"], "val": [], "test": ["c"]}],
        "orders": {"0": {"0": ["a", "b"], "1": ["b", "a"]}},
    }
    file = tmp_path / "split.json"
    assert planning.split_digest(file, 0, 0) == ""
    file.write_text(json.dumps(split))
    first, second, tested = (planning.split_digest(file, 0, draw) for draw in (0, 1, None))
    assert len({first, second, tested}) == 3
    split["orders"]["0"]["2"] = ["a", "b"]
    split["name"] = "renamed, and longer"
    file.write_text(json.dumps(split))
    assert [planning.split_digest(file, 0, draw) for draw in (0, 1, None)] == [first, second, tested]


def test_readers_of_yaml_get_what_the_file_says(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(suite()))
    assert load_suite(path) == parse_suite(suite())[0]


def split_of(entry: dict | str, **changes):
    return parse_suite(suite(datasets=[entry], **changes))[0].datasets[0].split


def test_the_data_set_s_own_split_is_the_default_and_replaced_key_by_key(monkeypatch):
    import dataclasses

    from contrastseg.data.registry import registry
    from contrastseg.data.settings import SplitSettings

    own = SplitSettings(folds=5, draws=3)
    spec = dataclasses.replace(registry.get("phantom_lesions"), split=own, splits=("official",))
    monkeypatch.setattr(registry, "specs", lambda: {"phantom_lesions": spec})
    assert split_of("phantom_lesions", folds=[0, 4]) == own
    assert split_of({"name": "phantom_lesions", "split": {"seed": 2}}) == own.model_copy(update={"seed": 2})
    official = split_of({"name": "phantom_lesions", "split": {"name": "official", "val": 0.1}})
    assert official == SplitSettings(name="official", val=0.1), "another split starts from the defaults"
    said = complaint(datasets=[{"name": "phantom_lesions", "split": {"name": "official"}}], folds=[0, 1])
    assert "its split has folds: 1" in said
    said = complaint(datasets=[{"name": "phantom_lesions", "split": {"val": 0.1}}])
    assert "fractions.val" in said
    assert Suite.model_validate(parse_suite(suite())[0].model_dump(mode="json")).datasets[0].split == own
