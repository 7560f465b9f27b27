# Only in a tuned suite: tune → select, before a run trains. A trial is trained without the patients that validate it, in
# one job for all stages.
# All seeds of a cell train with one choice, which lies here beside its trials.
TUNED = f"{RESULTS}/{planning.TUNING}/{{dataset}}/{{method}}/{{variant}}/{{labels}}/draw{{draw}}-fold{{fold}}"


wildcard_constraints:
    trial=r"\d+",
    inner=r"\d+",


rule tune:
    input:
        data=ancient(JOBS.training_inputs),
    output:
        record=f"{TUNED}/trial{{trial}}-inner{{inner}}/trial.json",
    log:
        f"{TUNED}/trial{{trial}}-inner{{inner}}/stdout.log",
    conda:
        ENVIRONMENT
    threads: JOBS.threads
    resources:
        gpu=JOBS.gpus,
        mem_mb=JOBS.memory_mb,
        runtime=JOBS.trial_runtime,
    params:
        fingerprint=JOBS.tune_fingerprint,
        config=JOBS.trial_config,
        content=JOBS.trial_content,
        data=JOBS.data_options,
        seed=JOBS.tuning_seed,
    shell:
        "python -m contrastseg tune"
        " --entry {wildcards.dataset} --method {wildcards.method} --variant {wildcards.variant} --labels {wildcards.labels}"
        " --draw {wildcards.draw} --fold {wildcards.fold} --seed {params.seed}"
        " --trial {wildcards.trial} --inner {wildcards.inner}"
        " {params.data} --planned {params.content:q} --config {params.config:q}"
        " --output $(dirname {output.record}) > {log} 2>&1"


# A checkpoint: once the choice is known, Snakemake evaluates the configuration of the runs that wait for it again. Runs
# of an unchanged choice stay.
checkpoint select:
    input:
        JOBS.trial_records,
    output:
        selected=f"{TUNED}/selected.json",
    log:
        f"{TUNED}/select.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        fingerprint=stage_fingerprint("select"),
    shell:
        "python -m contrastseg select {input} --output {output.selected} > {log} 2>&1"


rule collect_tuning:
    input:
        plan=RESULTS / "plan.json",
        selected=lambda wildcards: [cell.selected for cell in PLAN.tuned_cells],
        trials=lambda wildcards: [trial.record for trial in PLAN.trials()],
    output:
        trials=RESULTS / "tuning.csv",
        choices=RESULTS / "tuned.csv",
    log:
        RESULTS / "logs" / "collect-tuning.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        fingerprint=stage_fingerprint("collect_tuning"),
    shell:
        "python -m contrastseg collect-tuning --results $(dirname {output.trials}) > {log} 2>&1"
