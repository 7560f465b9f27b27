# download → prepare → split → pool. What follows depends on the content of the prepared data and of the split, never on the
# time they were written: `ancient` inputs, and their hashes among the parameters.


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
        JOBS.raw,
    output:
        manifest="resources/prepared/{dataset}/manifest.json",
        card="resources/prepared/{dataset}/dataset.json",
        index="resources/prepared/{dataset}/cases.csv",
    log:
        "resources/logs/prepare/{dataset}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=planning.by_attempt(8000),
        runtime=planning.by_attempt(720),
    params:
        fingerprint=prepare_fingerprint,
        name=JOBS.dataset,
        config=JOBS.preparation,
    shell:
        "python -m contrastseg prepare {params.name} --entry {wildcards.dataset} --config {params.config:q}"
        " --workers {threads} --output $(dirname {output.manifest}) > {log} 2>&1"


# A checkpoint, so that all runs are looked at again once the content of the data is known: those whose data came out the
# same stay as they are, the others train in this very invocation.
checkpoint split:
    input:
        manifest="resources/prepared/{dataset}/manifest.json",
    output:
        split="resources/splits/{dataset}.json",
    log:
        "resources/logs/split/{dataset}.log",
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
        " --prepared $(dirname {input.manifest}) --output {output.split} > {log} 2>&1"


# Only where an entry declares a pool. A checkpoint for the same reason: what is in it is known once the data is.
checkpoint pool:
    input:
        data=JOBS.pool_data,
        splits=JOBS.pool_splits,
    output:
        pool="results/{suite}/pools/{dataset}/fold{fold}.json",
    log:
        "results/{suite}/logs/pool-{dataset}-fold{fold}.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        fingerprint=stage_fingerprint("pool"),
        config=JOBS.pool_settings,
    shell:
        "python -m contrastseg pool --config {params.config:q} --output {output.pool} > {log} 2>&1"
