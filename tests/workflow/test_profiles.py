"""The profiles of clusters, as far as they can be tried without one."""

from __future__ import annotations

import pytest
import yaml

from tests.docs.pages import DOCS, blocks
from tests.workflow.conftest import ROOT, Workspace, jobs

CLUSTERS = ("slurm", "kubernetes")


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_page_shows_the_profile_as_it_is(name: str) -> None:
    path = f"profiles/{name}/config.yaml"
    (shown,) = [block.text for block in blocks(DOCS / "clusters.md") if block.file == path]
    assert shown == (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CLUSTERS)
def test_snakemake_plans_with_the_profile_s_settings(name: str, workspace: Workspace) -> None:
    settings = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
    assert settings.pop("executor") == name, "the plugin is not installed; everything else is tried"
    folder = workspace.work / "profile"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    done = workspace.snakemake("--profile", str(folder), "--configfile", "tiny.yaml", "--dry-run")
    assert done.returncode == 0, done.stdout
    assert jobs(done.stdout)["train_supervised"] == 2
