# predict → score: of every run, on every data set it is evaluated on, with every checkpoint. Both wait for the splits,
# so that neither looks at what is about to be made again from other data.


rule predict:
    input:
        checkpoint=f"{RUN}/checkpoints/{{checkpoint}}.ckpt",
        data=ancient(JOBS.looked_at),
    output:
        index=f"{RUN}/predictions/{{evaluated_on}}/{{checkpoint}}/predictions.json",
    log:
        f"{RUN}/predictions/{{evaluated_on}}/{{checkpoint}}.log",
    priority: JOBS.priority
    conda:
        ENVIRONMENT
    threads: JOBS.threads
    resources:
        gpu=JOBS.one_gpu,
        mem_mb=JOBS.memory_mb,
        runtime=planning.by_attempt(240),
    params:
        fingerprint=JOBS.predict_fingerprint,
        content=JOBS.test_content,
        fold=JOBS.test_fold,
    shell:
        "python -m contrastseg predict"
        " --checkpoint {input.checkpoint} --prepared $(dirname {input.data[0]}) --split {input.data[1]} --fold {params.fold}"
        " --subset test --output $(dirname {output.index}) > {log} 2>&1"


# What is scored is what lies on disk: a prediction that was deleted becomes a hole with a name.
rule score:
    input:
        index=rules.predict.output.index,
        data=ancient(JOBS.looked_at),
    output:
        scores=f"{RUN}/scores/{{evaluated_on}}/{{checkpoint}}.csv",
    log:
        f"{RUN}/scores/{{evaluated_on}}/{{checkpoint}}.log",
    priority: JOBS.priority
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(4000),
        runtime=planning.by_attempt(120),
    params:
        fingerprint=stage_fingerprint("score"),
        config=planning.to_argument(
            SUITE.evaluation.model_dump(mode="json", exclude={"also_conventions"})
        ),
        content=JOBS.references,
        missing=JOBS.missing,
    shell:
        "python -m contrastseg score --prediction $(dirname {input.index})"
        " --reference $(dirname {input.data[0]}) --config {params.config:q} --output {output.scores} > {log} 2>&1"


# The same predictions as published codes would have scored them, beside the suite's own scores and never among them.
rule score_by_conventions:
    input:
        index=rules.predict.output.index,
        data=ancient(JOBS.looked_at),
    output:
        scores=f"{RUN}/scores/{{evaluated_on}}/{{checkpoint}}.conventions.csv",
    log:
        f"{RUN}/scores/{{evaluated_on}}/{{checkpoint}}.conventions.log",
    priority: JOBS.priority
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(4000),
        runtime=planning.by_attempt(120),
    params:
        fingerprint=stage_fingerprint("score"),
        config=planning.to_argument(
            SUITE.evaluation.model_dump(mode="json", exclude={"nsd_tolerance"})
        ),
        content=JOBS.references,
        missing=JOBS.missing,
    shell:
        "python -m contrastseg score --prediction $(dirname {input.index})"
        " --reference $(dirname {input.data[0]}) --config {params.config:q} --output {output.scores} > {log} 2>&1"
