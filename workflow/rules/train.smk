# The generic rules of training. A method's own file in methods/ takes `train` over under its name.
# Snakemake sets OMP_NUM_THREADS and its like to the threads of a job, so commands need not.
# `params.data` is derived from the input: a moved folder is no reason to train again, changed content (`content`) is one.


rule pretrain:
    input:
        data=ancient(JOBS.training_inputs),
        initial=JOBS.initial_weights,
        selected=ancient(JOBS.selected),
    output:
        run=f"{PRETRAINED}/run.json",
        checkpoint=f"{PRETRAINED}/checkpoints/last.ckpt",
        history=f"{PRETRAINED}/log.csv",
    log:
        f"{PRETRAINED}/stdout.log",
    priority: JOBS.priority
    conda:
        ENVIRONMENT
    threads: JOBS.threads
    resources:
        gpu=JOBS.gpus,
        mem_mb=JOBS.memory_mb,
        runtime=JOBS.runtime,
    params:
        fingerprint=JOBS.train_fingerprint,
        config=JOBS.config,
        content=JOBS.content,
        data=JOBS.data_options,
        labels=JOBS.labels,
        pool=JOBS.pool_option,
        initial=JOBS.initial_options,
    shell:
        "python -m contrastseg train"
        " --entry {wildcards.dataset} --method {wildcards.method} --variant {wildcards.variant} --labels {params.labels}"
        " --draw {wildcards.draw} --fold {wildcards.fold} --seed {wildcards.seed} --stage {wildcards.stage}"
        " {params.data} --planned {params.content:q} {params.pool} {params.initial} --config {params.config:q}"
        " --output $(dirname {output.run}) > {log} 2>&1"


# `method` matches nothing here: only a method's own rule makes its runs, or there would be two for each.
# What a killed run resumes from is no output: Snakemake removes the outputs of a run before it starts it again.
rule train:
    input:
        data=ancient(JOBS.training_inputs),
        initial=JOBS.initial_weights,
        selected=ancient(JOBS.selected),
    output:
        run=f"{RUN}/run.json",
        checkpoints=expand(
            f"{RUN}/checkpoints/{{checkpoint}}.ckpt",
            checkpoint=[name for name in SUITE.checkpoints if name != ORACLE],
            allow_missing=True,
        ),
        history=f"{RUN}/log.csv",
    log:
        f"{RUN}/stdout.log",
    wildcard_constraints:
        method="(?!)",
    priority: JOBS.priority
    conda:
        ENVIRONMENT
    threads: JOBS.threads
    resources:
        gpu=JOBS.gpus,
        mem_mb=JOBS.memory_mb,
        runtime=JOBS.runtime,
    params:
        fingerprint=JOBS.train_fingerprint,
        config=JOBS.config,
        content=JOBS.content,
        data=JOBS.data_options,
        initial=JOBS.initial_options,
    shell:
        "python -m contrastseg train"
        " --entry {wildcards.dataset} --method {wildcards.method} --variant {wildcards.variant} --labels {wildcards.labels}"
        " --draw {wildcards.draw} --fold {wildcards.fold} --seed {wildcards.seed}"
        " {params.data} --planned {params.content:q} {params.initial} --config {params.config:q}"
        " --output $(dirname {output.run}) > {log} 2>&1"
