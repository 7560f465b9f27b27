# plan → collect → compare → tabulate → plot → report. Everything from here on takes seconds and no GPU.

DRAWINGS = planning.to_argument(
    {
        "tables": [table.model_dump() for table in SUITE.tables],
        "figures": [figure.model_dump() for figure in SUITE.figures],
    }
)

# What selection on the test cases is worth, where the suite asks for the oracle.
SELECTION = [RESULTS / "selection.csv"] if ORACLE in SUITE.checkpoints else []

# The comparison averaged over draws, where some methods have further ones.
FURTHER_DRAWS = [RESULTS / "draws.csv"] if SUITE.further_draws else []

# The choices of a tuned suite.
TUNED_TABLES = [RESULTS / "tuned.csv"] if SUITE.tuning is not None else []

# Pages of other suites, where they are finished: the tables on this page are those of theirs.
ALSO_SHOWN = [
    page
    for name in SUITE.also_show
    if (page := RESULTS.parent / name / "report.html").is_file()
]


rule plan:
    output:
        plan=RESULTS / "plan.json",
    log:
        RESULTS / "logs" / "plan.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        suite=planning.to_argument(
            SUITE.model_dump(mode="json", exclude={"tables", "figures"})
        ),
        content=digest(PLAN.to_json()),
        options="--skip-unavailable" if OPTIONS.skip_unavailable else "",
    shell:
        "python -m contrastseg plan {params.suite:q} {params.options} --output {output.plan} > {log} 2>&1"


rule collect:
    input:
        plan=RESULTS / "plan.json",
        runs=PLAN.records(),
        scores=[
            run.scores(other, checkpoint)
            for run, other, checkpoint in PLAN.evaluations()
        ],
        # Only to wait: whether runs have to be made again is known once the content of their data is.
        splits=[ancient(file) for file in [*JOBS.splits(), *PLAN.pools()]],
    output:
        scores=RESULTS / "scores.parquet",
        cards=RESULTS / "cards.json",
        data=RESULTS / "data.json",
    log:
        RESULTS / "logs" / "collect.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(8000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("collect"),
    shell:
        "python -m contrastseg collect --results $(dirname {output.scores}) > {log} 2>&1"


# Only runs where the suite names conventions beside its own.
rule collect_conventions:
    input:
        plan=RESULTS / "plan.json",
        runs=lambda wildcards: PLAN.records(),
        scores=lambda wildcards: [
            run.convention_scores(*where) for run, *where in PLAN.predictions()
        ],
        splits=[ancient(file) for file in [*JOBS.splits(), *PLAN.pools()]],
    output:
        scores=RESULTS / "conventions.parquet",
        ranks=RESULTS / "conventions.csv",
    log:
        RESULTS / "logs" / "collect-conventions.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(8000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("collect"),
    shell:
        "python -m contrastseg collect --conventions --results $(dirname {output.scores}) > {log} 2>&1"


# Only runs where the suite asks for the oracle.
rule collect_snapshots:
    input:
        plan=RESULTS / "plan.json",
        runs=lambda wildcards: [f"{run.folder}/run.json" for run in PLAN.runs],
        scores=lambda wildcards: [
            run.scores(*where) for run, *where in PLAN.selections()
        ],
        splits=[ancient(file) for file in [*JOBS.splits(), *PLAN.pools()]],
    output:
        scores=RESULTS / "snapshots.parquet",
        selection=RESULTS / "selection.csv",
    log:
        RESULTS / "logs" / "collect-snapshots.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(8000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("collect"),
        alpha=SUITE.comparison.alpha,
    shell:
        "python -m contrastseg collect --snapshots --alpha {params.alpha} --results $(dirname {output.scores}) > {log} 2>&1"


rule compare:
    input:
        RESULTS / "plan.json",
        RESULTS / "scores.parquet",
    output:
        FURTHER_DRAWS,
        comparisons=report(
            RESULTS / "comparisons.csv",
            caption="../report/comparisons.rst",
            category="Comparisons",
        ),
        summary=report(
            RESULTS / "summary.csv",
            caption="../report/summary.rst",
            category="Comparisons",
        ),
        pairs=RESULTS / "pairs.csv",
        rankings=RESULTS / "rankings.csv",
        critical=RESULTS / "critical.csv",
        variance=RESULTS / "variance.csv",
    log:
        RESULTS / "logs" / "compare.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(8000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("compare"),
        config=planning.to_argument(SUITE.comparison.model_dump(mode="json")),
    shell:
        "python -m contrastseg compare --results $(dirname {output.summary}) --config {params.config:q} > {log} 2>&1"


rule tabulate:
    input:
        RESULTS / "plan.json",
        RESULTS / "cards.json",
        RESULTS / "summary.csv",
        RESULTS / "comparisons.csv",
        conventions(),
        SELECTION,
        TUNED_TABLES,
        FURTHER_DRAWS,
    output:
        csv=report(
            RESULTS / "tables" / "{table}.csv",
            caption="../report/table.rst",
            category="Tables",
        ),
        markdown=RESULTS / "tables" / "{table}.md",
        latex=RESULTS / "tables" / "{table}.tex",
        html=RESULTS / "tables" / "{table}.html",
    log:
        RESULTS / "logs" / "tabulate-{table}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(4000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("tabulate"),
        config=JOBS.table,
    shell:
        "python -m contrastseg tabulate --results $(dirname $(dirname {output.csv})) --config {params.config:q}"
        " > {log} 2>&1"


rule plot:
    input:
        RESULTS / "plan.json",
        RESULTS / "cards.json",
        RESULTS / "scores.parquet",
        RESULTS / "summary.csv",
        RESULTS / "comparisons.csv",
        conventions(),
    output:
        svg=report(
            RESULTS / "figures" / "{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
        ),
        pdf=RESULTS / "figures" / "{figure}.pdf",
        png=RESULTS / "figures" / "{figure}.png",
    log:
        RESULTS / "logs" / "plot-{figure}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(4000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("plot"),
        config=JOBS.figure,
    shell:
        "python -m contrastseg plot --results $(dirname $(dirname {output.svg})) --config {params.config:q} > {log} 2>&1"


rule slices:
    input:
        RESULTS / "plan.json",
        RESULTS / "scores.parquet",
    output:
        RESULTS / "figures" / "{figure}.slices.json",
    log:
        RESULTS / "logs" / "slices-{figure}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(4000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("slices"),
        config=JOBS.figure,
    shell:
        "python -m contrastseg slices --results $(dirname $(dirname {output})) --config {params.config:q} > {log} 2>&1"


rule report:
    input:
        RESULTS / "plan.json",
        RESULTS / "cards.json",
        RESULTS / "scores.parquet",
        RESULTS / "summary.csv",
        RESULTS / "comparisons.csv",
        conventions(),
        SELECTION,
        TUNED_TABLES,
        FURTHER_DRAWS,
        figures(),
        slices(),
        ALSO_SHOWN,
    output:
        page=report(
            RESULTS / "report.html", caption="../report/page.rst", category="Report"
        ),
    log:
        RESULTS / "logs" / "report.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(4000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("report"),
        config=DRAWINGS,
    shell:
        "python -m contrastseg report --results $(dirname {output.page}) --config {params.config:q} > {log} 2>&1"


onsuccess:
    if (RESULTS / "report.html").is_file():
        logger.info(f"Report: {(RESULTS / 'report.html').absolute()}")


# One method that fails does not take the table down: what is scored is put together beside the place of the whole, and
# tables and page name the rest. Which scores are older than what they are of, `collect --partial` knows.
onerror:
    scores = [run.scores(*where) for run, *where in PLAN.evaluations()]
    makers = PLAN.records() + [
        run.predictions(*where) / "predictions.json"
        for run, *where in PLAN.predictions()
    ]
    if any(file.is_file() for file in scores) and not all(
        file.is_file() for file in scores + makers
    ):
        call = f"python -m contrastseg collect --partial --results {RESULTS}"
        conventions = (
            f"{call} --conventions;" if SUITE.evaluation.conventions else ""
        )
        folder = RESULTS / "unfinished"
        shell(
            "{{ {call} && {{ {conventions} python -m contrastseg report {folder}/scores.parquet --config {DRAWINGS:q}; }}; }}"
            " > {RESULTS}/logs/unfinished.log 2>&1"
            " && echo 'What is finished stands in {folder}/report.html, and what is not is named there.' >&2"
            " || echo 'No table of what is finished could be made: {RESULTS}/logs/unfinished.log says why.' >&2"
        )


# By name: `snakemake tables figures`.
rule tables:
    input:
        tables(),


rule figures:
    input:
        figures(),
