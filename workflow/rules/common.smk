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
from contrastseg.errors import ContrastsegError, UnavailableDataError
from contrastseg.files import digest
from contrastseg.fingerprints import stage_fingerprint
from contrastseg.planning.rules import method_rules, untrained
from contrastseg.suite import NAME, parse_suite
from contrastseg.suite.parsing import read_yaml

# The suite of the plain command, `snakemake --cores all --resources gpu=4`.
DEFAULT_SUITE = BASE / "benchmarks" / "full.yaml"
# For `--software-deployment-method conda`; the same set as the lock.
ENVIRONMENT = str(BASE / "environment.yml")


@contextmanager
def workflow_errors():
    """End planning with an error's text alone."""
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
    """All runs. Data that is not here is an error that lists all of it, or left out where the user says so."""
    missing = planning.missing_data(SUITE, DATA_ROOT)
    if missing and not OPTIONS.skip_unavailable:
        raise UnavailableDataError(planning.describe_missing(missing))
    return planning.expand(SUITE, missing, DATA_ROOT, sources=SOURCES)


planning.keep_objects()
planning.remember_parameters(workflow)
SUITE, OPTIONS = read_suite()
DATA_ROOT = planning.data_root(OPTIONS, os.environ)
# Folders of data are listed once, before any job; not again in the jobs of a cluster.
SOURCES = planning.Sources(DATA_ROOT, look=workflow.is_main_process)
PLAN = make_plan()
MEASURED = BASE / "benchmarks" / "speed" / "results"
JOBS = planning.Jobs(SUITE, DATA_ROOT, PLAN.unavailable, MEASURED, SOURCES)
RESULTS = planning.RESULTS / SUITE.name
VARIANT = f"{RESULTS}/runs/{{dataset}}/{{method}}/{{variant}}"
RUN = f"{VARIANT}/{{labels}}/draw{{draw}}-fold{{fold}}-seed{{seed}}"
PRETRAINED = (
    f"{VARIANT}/pretrain-{{stage}}/{{budget}}draw{{draw}}-fold{{fold}}-seed{{seed}}"
)

# Jobs run this interpreter and this code, activated or not, installed or not.
os.environ.update(planning.job_environment(BASE, DATA_ROOT, os.environ))


# Shell commands are made of wildcards: a file that is asked for may not put into them what a suite may not.
wildcard_constraints:
    dataset=NAME,
    evaluated_on=NAME,
    method=NAME,
    variant=NAME,
    labels=r"[rn][0-9.]+",
    budget=r"([rn][0-9.]+/)?",
    stage=NAME,
    made=r"[0-9a-f]{8}",
    table=NAME,
    figure=NAME,
    draw=r"\d+",
    fold=r"\d+",
    seed=r"\d+",
    checkpoint="last|best_val",


@workflow_errors()
def discover_method_rules():
    """One file per method, then what the suite brings along."""
    return method_rules(SUITE, BASE)


@workflow_errors()
def check_every_method_has_a_rule():
    """Say which file is missing or wrong, instead of a missing input three steps further on."""
    trained = {(r.name, r.wildcard_constraints.get("method")) for r in workflow.rules}
    for method in SUITE.methods:
        if (f"train_{method.name}", method.name) not in trained:
            raise untrained(method.name)


def published(wildcards):
    """What `prepare` waits for; it is forced where files were edited, of which there may be thousands: no inputs."""
    if workflow.dag is not None and JOBS.manifest(wildcards) in EDITED:
        workflow.dag.forcefiles.add(str(JOBS.manifest(wildcards)))
    return JOBS.raw(wildcards)


def preparation(wildcards):
    """The rule of preparation. Only when it is asked for is it known that this is no dry run."""
    if workflow.executor_plugin and not workflow.dryrun:
        SOURCES.remember()
    return JOBS.preparation(wildcards)


def drawn(folder, items, *suffixes):
    """The files of tables or figures."""
    return [
        RESULTS / folder / f"{item.name}.{suffix}"
        for item in items
        for suffix in suffixes
    ]


def conventions():
    """How other conventions rank the methods, where the suite asks for any."""
    return [RESULTS / "conventions.csv"] if SUITE.evaluation.conventions else []


def tables():
    return drawn("tables", SUITE.tables, "csv", "md", "tex", "html")


def figures():
    return drawn("figures", SUITE.figures, "svg", "png")


def slices():
    """What the page's slider moves through."""
    return drawn(
        "figures", [f for f in SUITE.figures if f.kind == "overlays"], "slices.json"
    )
