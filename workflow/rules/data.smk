# download → prepare → split → pool. Later rules depend on the content of the prepared data and the split, not on file times:
# inputs are `ancient`, and their digests are parameters. The wildcard `digest` stands for the settings of preparation or
# split: suites in one folder share equal data, and data of the same name but other settings stays separate. Edits of
# published files are found before planning (DATA_FOLDERS).


# Prepared data whose published files were edited since.
EDITED = JOBS.edited_data()
for manifest, edits in EDITED.items():
    logger.info(
        f"{manifest.parent} is prepared again: {planning.summary_of_edits(edits)}"
    )


rule download:
    output:
        "resources/raw/{dataset}/checksums.json",
    log:
        "resources/logs/download/{dataset}.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=720,
    shell:
        "python -m contrastseg download {wildcards.dataset} > {log} 2>&1"


rule prepare:
    input:
        published,
    output:
        manifest="resources/prepared/{dataset}-{digest}/manifest.json",
        card="resources/prepared/{dataset}-{digest}/dataset.json",
        index="resources/prepared/{dataset}-{digest}/cases.csv",
    log:
        "resources/logs/prepare/{dataset}-{digest}.log",
    wildcard_constraints:
        digest=JOBS.digests("prepared"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=planning.by_attempt(8000),
        runtime=planning.by_attempt(720),
    params:
        fingerprint=JOBS.prepare_fingerprint,
        name=JOBS.dataset,
        config=preparation,
    shell:
        "python -m contrastseg prepare {params.name} --entry {wildcards.dataset} --config {params.config:q}"
        " --workers {threads} --output $(dirname {output.manifest}) > {log} 2>&1"


# Split and pool keep a file of unchanged content and touch it: a file older than its input would be made again every time.
# Both are checkpoints: once the content of the data is known, Snakemake evaluates all runs again. Runs on unchanged data
# stay; the others train in the same invocation.
checkpoint split:
    input:
        manifest=JOBS.manifest,
        index=JOBS.index,
    output:
        split="resources/splits/{dataset}-{digest}.json",
    log:
        "resources/logs/split/{dataset}-{digest}.log",
    wildcard_constraints:
        digest=JOBS.digests("split"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        fingerprint=stage_fingerprint("split"),
        name=JOBS.dataset,
        config=JOBS.split,
    shell:
        "python -m contrastseg split {params.name} --entry {wildcards.dataset} --config {params.config:q}"
        " --prepared $(dirname {input.manifest}) --output {output.split} > {log} 2>&1 && touch {output.split}"


# Only where an entry declares a pool.
checkpoint pool:
    input:
        data=JOBS.pool_data,
        splits=JOBS.pool_splits,
    output:
        pool=f"{RESULTS}/pools/{{dataset}}/fold{{fold}}.json",
    log:
        f"{RESULTS}/logs/pool-{{dataset}}-fold{{fold}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=stage_fingerprint("pool"),
        config=JOBS.pool_settings,
        data=JOBS.pool_data_options,
    shell:
        "python -m contrastseg pool --config {params.config:q} {params.data} --output {output.pool} > {log} 2>&1"
        " && touch {output.pool}"
