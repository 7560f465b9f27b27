# Helper functions of the rules. Answers that need no Snakemake come from contrastseg.planning and its neighbours.
import os
import sys
from contextlib import contextmanager
from pathlib import Path

from snakemake.exceptions import WorkflowError

BASE = Path(workflow.basedir)
if (BASE / "contrastseg").is_dir():  # a checkout, installed or not
    sys.path.insert(0, str(BASE))

from contrastseg import planning
from contrastseg.checkpoint_names import ORACLE
from contrastseg.errors import ContrastsegError, UnavailableDataError
from contrastseg.files import digest
from contrastseg.fingerprints import stage_fingerprint
from contrastseg.planning.rules import method_rules, missing_rule
from contrastseg.suite import NAME, parse_suite
from contrastseg.suite.parsing import read_yaml

# The suite of the plain command, `snakemake --cores all --resources gpu=4`.
DEFAULT_SUITE = BASE / "benchmarks" / "full.yaml"
# For `--software-deployment-method conda`; the same set as the lock.
ENVIRONMENT = str(BASE / "environment.yml")


@contextmanager
def workflow_errors():
    """End planning with the text of an error, without a traceback."""
    try:
        yield
    except ContrastsegError as error:
        raise WorkflowError(str(error))


@workflow_errors()
def read_suite():
    """The suite in the configuration, or the default one with the options of the command line."""
    files = [Path(file) for file in workflow.overwrite_configfiles]
    if "datasets" in config or files:
        return parse_suite(config, files[0] if len(files) == 1 else None)
    return parse_suite({**read_yaml(DEFAULT_SUITE), **config}, DEFAULT_SUITE)


@workflow_errors()
def make_plan():
    """All runs. Missing data is an error that lists all of it, or skipped where the user says so."""
    missing = planning.missing_data(SUITE, DATA_ROOT)
    if missing and not OPTIONS.skip_unavailable:
        raise UnavailableDataError(planning.describe_missing(missing))
    return planning.expand(SUITE, missing, DATA_ROOT, data_folders=DATA_FOLDERS)


planning.keep_objects()
planning.cache_parameters(workflow)
SUITE, OPTIONS = read_suite()
DATA_ROOT = planning.data_root(OPTIONS, os.environ)
# Folders of data are listed once, before any job, and not again in the jobs of a cluster.
DATA_FOLDERS = planning.DataFolders(DATA_ROOT, look=workflow.is_main_process)
PLAN = make_plan()
MEASURED = BASE / "benchmarks" / "speed" / "results"
JOBS = planning.Jobs(SUITE, DATA_ROOT, PLAN.unavailable, MEASURED, DATA_FOLDERS)
RESULTS = planning.RESULTS / SUITE.name
VARIANT = f"{RESULTS}/runs/{{dataset}}/{{method}}/{{variant}}"
AXES = "{dataset}/{method}/{variant}/{labels}/draw{draw}-fold{fold}-seed{seed}"
RUN = f"{RESULTS}/runs/{AXES}"
# A run of this workflow, or predictions of another trainer that `contrastseg enter` put beside them.
SCORED = f"{RESULTS}/{{place}}/{AXES}"
REPLICATE = "draw{draw}-fold{fold}-seed{seed}"
PRETRAINED = f"{VARIANT}/pretrain-{{stage}}/{{budget}}{REPLICATE}"

# Jobs run this interpreter and this code, activated or not, installed or not.
os.environ.update(planning.job_environment(BASE, DATA_ROOT, os.environ))


# Wildcards end in shell commands: a requested file may put nothing into them that a suite may not.
wildcard_constraints:
    place=f"{planning.Run.PLACE}|{planning.EnteredRun.PLACE}",
    dataset=NAME,
    evaluated_on=NAME,
    method=NAME,
    variant=NAME,
    labels=r"[rn][0-9.]+",
    budget=r"([rn][0-9.]+/)?",
    stage=NAME,
    digest=r"[0-9a-f]{8}",
    table=NAME,
    figure=NAME,
    draw=r"\d+",
    fold=r"\d+",
    seed=r"\d+",
    checkpoint="last|best_val",


@workflow_errors()
def discover_method_rules():
    """One file per method, then the suite's custom rules."""
    return method_rules(SUITE, BASE)


@workflow_errors()
def check_every_method_has_a_rule():
    """Name the file that is missing or wrong, instead of a missing input of a later rule."""
    trained = {(r.name, r.wildcard_constraints.get("method")) for r in workflow.rules}
    for method in SUITE.methods:
        if (f"train_{method.name}", method.name) not in trained:
            raise missing_rule(method.name)


def published(wildcards):
    """Inputs of `prepare`. Edited files force it: there may be thousands, so they are no inputs."""
    if workflow.dag is not None and JOBS.manifest(wildcards) in EDITED:
        workflow.dag.forcefiles.add(str(JOBS.manifest(wildcards)))
    return JOBS.downloads(wildcards)


def preparation(wildcards):
    """Settings of `prepare`. Whether this is a dry run is known only once Snakemake calls this."""
    if workflow.executor_plugin and not workflow.dryrun:
        DATA_FOLDERS.remember()
    return JOBS.preparation(wildcards)


def report_files(folder, items, *suffixes):
    """The files of tables or figures."""
    return [
        RESULTS / folder / f"{item.name}.{suffix}"
        for item in items
        for suffix in suffixes
    ]


def conventions():
    """The table of ranks by convention, where the suite names conventions."""
    return [RESULTS / "conventions.csv"] if SUITE.evaluation.conventions else []


def tables():
    return report_files("tables", SUITE.tables, "csv", "md", "tex", "html")


def figures():
    return report_files("figures", SUITE.figures, "svg", "png")


def slices():
    """Slices for the slider of the page."""
    overlays = [figure for figure in SUITE.figures if figure.kind == "overlays"]
    return report_files("figures", overlays, "slices.json")
