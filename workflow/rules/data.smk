# download → prepare → split → pool. What follows depends on the content of the prepared data and of the split, never on the
# time they were written: `ancient` inputs, and their hashes among the parameters. `made` is a digest of what makes them:
# suites in one folder share what is the same, and never what only has the same name. Edits of the published files are
# noticed before anything is planned (SOURCES).


# Prepared data whose published files were edited since.
EDITED = JOBS.edited()
for manifest, edits in EDITED.items():
    logger.info(f"{manifest.parent} is prepared again: {planning.listed(edits)}")


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
        manifest="resources/prepared/{dataset}-{made}/manifest.json",
        card="resources/prepared/{dataset}-{made}/dataset.json",
        index="resources/prepared/{dataset}-{made}/cases.csv",
    log:
        "resources/logs/prepare/{dataset}-{made}.log",
    wildcard_constraints:
        made=JOBS.makings("prepared"),
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


# Both are touched, as they keep their file where its content stays: what is older than its input is made again for ever.
# A checkpoint, so that all runs are looked at again once the content of the data is known: those whose data came out the
# same stay as they are, the others train in this very invocation.
checkpoint split:
    input:
        manifest=JOBS.manifest,
        index=JOBS.index,
    output:
        split="resources/splits/{dataset}-{made}.json",
    log:
        "resources/logs/split/{dataset}-{made}.log",
    wildcard_constraints:
        made=JOBS.makings("split"),
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


# Only where an entry declares a pool. A checkpoint for the same reason: what is in it is known once the data is.
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
        places=JOBS.pool_places,
    shell:
        "python -m contrastseg pool --config {params.config:q} {params.places} --output {output.pool} > {log} 2>&1"
        " && touch {output.pool}"
