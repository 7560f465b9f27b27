"""The container file and the pod that runs it: what a linter would find, and what none knows of this project."""

from __future__ import annotations

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import contrastseg
from contrastseg.cli.suites import workflow_command

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[tuple[str, str]]:
    """Instruction and arguments of every line of the Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = filter(None, map(str.strip, text.replace("\\\n", " ").splitlines()))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def arguments(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def documents() -> dict[str, dict]:
    """The objects of the manifest by kind."""
    text = (ROOT / "profiles" / "kubernetes" / "job.yaml").read_text(encoding="utf-8")
    return {item["kind"]: item for item in yaml.safe_load_all(text)}


def pod() -> dict:
    return documents()["Job"]["spec"]["template"]["spec"]


def test_both_stages_stand_on_one_pinned_python_that_the_project_runs_on():
    bases = {rest.split()[0] for rest in arguments("FROM")}
    (base,) = bases
    version = re.fullmatch(r"python:(\d+\.\d+\.\d+)-slim-[a-z]+", base)
    assert version, f"{base} is not pinned to a release"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(version[1])
    assert len(arguments("FROM")) == 2
    first, second = (i for i, (name, _) in enumerate(instructions()) if name == "FROM")
    assert any("pip install" in rest for _, rest in instructions()[first:second])
    assert not any("pip install" in rest for _, rest in instructions()[second:]), "what builds stays behind"


def test_it_does_not_run_as_root_and_holds_no_secret():
    user = arguments("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number, or a cluster cannot tell that it is not root"
    names = " ".join([*arguments("ENV"), *arguments("ARG")])
    assert not re.search(r"(?i)token|secret|password|credential|api_?key", names)
    assert not arguments("ADD"), "ADD fetches and unpacks; COPY does not"


def test_what_it_copies_is_there_and_not_ignored():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for rest in arguments("COPY") if not rest.startswith("--from") for source in rest.split()[:-1]}
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
    installed = {rest for rest in arguments("RUN") if "pip install" in rest}
    assert any("--requirement requirements.lock" in rest for rest in installed)


def test_the_package_is_installed_from_all_that_it_ships():
    """The parts that the tests of the workflow copy make it run, and setup.py puts them into the package."""
    from tests.workflow.conftest import PARTS

    steps = instructions()
    installs = next(i for i, (name, rest) in enumerate(steps) if name == "RUN" and rest.endswith("build-isolation ."))
    copied = [rest.split() for name, rest in steps[:installs] if name == "COPY"]
    assert {*PARTS, "setup.py", "requirements.lock"} <= {source for parts in copied for source in parts[:-1]}


def test_hadolint_finds_nothing():
    hadolint = Path(sysconfig.get_path("scripts"), "hadolint")
    found = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    bad = subprocess.run([hadolint, "-"], input="FROM debian:latest\n", capture_output=True, text=True)
    assert "DL3007" in bad.stdout, "it finds what there is to find"


def test_the_pod_runs_the_image_of_this_version_as_its_user():
    (container,) = pod()["containers"]
    assert container["image"].endswith(f":{contrastseg.__version__}")
    user, group = map(int, arguments("USER")[-1].split(":"))
    context = pod()["securityContext"]
    assert context["runAsNonRoot"] is True
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (user, group, group)
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert arguments("WORKDIR")[-1] in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_the_pod_asks_for_as_many_gpus_as_the_workflow_may_use():
    from snakemake.cli import get_argument_parser

    (container,) = pod()["containers"]
    program, command, suite, *options = container["command"]
    assert (program, command) == ("contrastseg", "run")
    asked, unknown = get_argument_parser().parse_known_args(workflow_command(suite, options)[3:])
    assert not unknown
    gpus = container["resources"]["limits"]["nvidia.com/gpu"]
    assert gpus == container["resources"]["requests"]["nvidia.com/gpu"]
    assert f"--resources=gpu={gpus}" in container["command"]
    assert str(asked.cores) == container["resources"]["requests"]["cpu"]
    assert asked.configfile == [ROOT / "benchmarks" / "full.yaml"]


def test_the_volumes_of_the_pod_are_there():
    (container,) = pod()["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod()["volumes"]}
    claim = documents()["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"], "`--nolock` is safe for one pod alone"
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod()["volumes"][:2]}
    assert claim["metadata"]["name"] in claims
