"""The table of networks says what is found when they are built, and planning reads it without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from contrastseg import planning
from contrastseg.cli import app
from contrastseg.errors import SuiteError
from contrastseg.networks import catalogue, registry
from contrastseg.networks.catalogue import Form
from contrastseg.suite import load_suite
from contrastseg.training import network_table

# Two are built in every test run, the others in the long tests.
ALWAYS = ("monai SegResNet", "smp Segformer mit_b0")


def shown(form: Form) -> str:
    return f"{form.title} {form.spatial_dims}D"


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, marks=[] if form.title in ALWAYS and form.spatial_dims == 2 else [pytest.mark.long])
        for form in catalogue.forms()
    ],
    ids=shown,
)
def test_the_table_is_what_is_found(form: Form) -> None:
    found = network_table.described(form.settings, form.spatial_dims)
    assert found is not None
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(vars(form)))


@pytest.mark.long
def test_the_table_has_every_listed_network_its_options_and_no_other() -> None:
    listed = [settings for settings in network_table.listed() if settings.get("model") != "UNETR"]
    in_table = [form.settings for form in catalogue.forms() if form.settings.get("model") != "UNETR"]
    assert all(settings in listed for settings in in_table)
    assert all(settings in in_table for settings in listed)
    assert json.loads(catalogue.TABLE.read_text(encoding="utf-8"))["options"] == network_table.options()


def test_it_is_read_without_torch() -> None:
    code = (
        "import sys; from contrastseg.networks import catalogue, registry;"
        "registry.check({'name': 'monai', 'model': 'SwinUNETR'});"
        "catalogue.check_patch({'name': 'monai', 'model': 'SwinUNETR'}, 2, (96, 96)); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "monai"}, "SwinUNETR"),
        ({"name": "monai", "model": "swinunetr"}, "SwinUNETR"),
        ({"name": "monai", "model": "SwinUNETR", "feature_sise": 12}, "feature_size"),
        ({"name": "smp"}, "UnetPlusPlus"),
        ({"name": "smp", "architecture": "FPN", "encode": "resnet18"}, "encoder"),
    ],
)
def test_what_is_written_wrongly_is_said_when_planning(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        registry.check(settings)


def test_models_outside_the_table_are_left_to_the_start() -> None:
    assert registry.check({"name": "monai", "model": "HighResNet", "norm_type": "batch"}) == "monai"


@pytest.mark.parametrize(
    ("settings", "dims", "patch", "remedy"),
    [
        ({"name": "monai", "model": "SwinUNETR"}, 3, (96, 96, 80), "[96, 96, 96]"),
        ({"name": "smp", "architecture": "PAN"}, 2, (96, 96), "[128, 128]"),
        ({"name": "smp", "architecture": "Unet"}, 3, (64, 64, 64), "monai"),
        ({"name": "monai", "model": "UNETR", "img_size": [96, 96]}, 2, (64, 64), "img_size"),
    ],
)
def test_patches_that_a_network_does_not_take_are_refused(
    settings: dict[str, Any], dims: int, patch: tuple[int, ...], remedy: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        catalogue.check_patch(settings, dims, patch)
    assert remedy in str(caught.value.remedy)


def test_patches_that_it_takes_and_networks_that_are_not_in_the_table_pass() -> None:
    catalogue.check_patch({"name": "monai", "model": "UNETR", "img_size": 96}, 2, (96, 96))
    catalogue.check_patch({"name": "smp", "architecture": "PAN"}, 2, (128, 128))
    catalogue.check_patch({"name": "monai", "model": "SwinUNETR", "patch_size": 4}, 2, (50, 50))
    catalogue.check_patch({"name": "unet"}, 2, (96, 96))
    catalogue.check_patch({"name": "unet"}, 3, (16, 192, 192))  # thin slabs: the deepest map is 1×12×12


def test_a_plan_refuses_a_patch_that_the_network_does_not_take(tmp_path: Any) -> None:
    path = tmp_path / "suite.yaml"
    network = {"name": "monai", "model": "SwinUNETR"}
    entry = {"name": "lesions", "dataset": "phantom_lesions", "training": {"patch_size": [48, 64], "network": network}}
    suite = {"name": "small", "datasets": [entry], "methods": ["supervised"], "labels": ["r1"]}
    path.write_text(json.dumps(suite), encoding="utf-8")
    with pytest.raises(SuiteError, match="monai SwinUNETR") as caught:
        planning.expand(load_suite(path))
    assert "[64, 64]" in str(caught.value.remedy)


def test_the_listing_has_every_form_with_its_maps() -> None:
    result = CliRunner().invoke(app, ["networks", "--json"], catch_exceptions=False)
    rows = json.loads(result.output)
    assert len(rows) == len(catalogue.forms())
    (row,) = (row for row in rows if row["name"] == "monai SwinUNETR" and row["spatial_dims"] == 3)
    assert row["attach"] is True
    assert list(row["maps"]) == [f"encoder{n}" for n in range(6)] + [f"decoder{n}" for n in (4, 3, 2, 1, 0)]
    printed = CliRunner().invoke(app, ["networks"], catch_exceptions=False, env={"COLUMNS": "200"}).output
    assert "15.70 M" in printed
