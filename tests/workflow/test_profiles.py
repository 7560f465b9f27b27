"""The profiles of clusters, as far as they can be tried without one."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import yaml

from tests.docs.pages import DOCS, blocks
from tests.workflow.conftest import ROOT, Workspace, jobs

# What only a plugin understands. The store of Kubernetes is left out in any case: a dry run, too, asks it for files.
PLUGIN = "snakemake_executor_plugin_{}"
OF_THE_PLUGIN = {"slurm": ("executor", "slurm-requeue"), "kubernetes": ("executor", "default-storage-provider")}


def test_the_page_shows_the_profile_as_it_is() -> None:
    path = "profiles/slurm/config.yaml"
    (shown,) = [block.text for block in blocks(DOCS / "slurm.md") if block.file == path]
    assert shown == (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OF_THE_PLUGIN)
def test_snakemake_plans_with_the_profile_s_settings(name: str, workspace: Workspace) -> None:
    settings = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
    assert settings["executor"] == name
    if name == "kubernetes" or find_spec(PLUGIN.format(name)) is None:
        settings = {key: value for key, value in settings.items() if key not in OF_THE_PLUGIN[name]}
    folder = workspace.work / "profile"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    done = workspace.snakemake("--profile", str(folder), "--configfile", "tiny.yaml", "--dry-run")
    assert done.returncode == 0, done.stdout
    assert jobs(done.stdout)["train_supervised"] == 2
