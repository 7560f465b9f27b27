# predict → score → oracle: every run, on every entry that it is evaluated on, with every checkpoint. All wait for the
# splits, so that none reads files that are about to be made again from other data.


rule predict:
    input:
        checkpoint=f"{RUN}/checkpoints/{{checkpoint}}.ckpt",
        data=ancient(JOBS.test_inputs),
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


# Scores are of the predictions on disk: a deleted one is reported as missing. No rule makes entered ones, so none can
# remove them.
rule score:
    input:
        index=f"{SCORED}/predictions/{{evaluated_on}}/{{checkpoint}}/predictions.json",
        data=ancient(JOBS.test_inputs),
    output:
        scores=f"{SCORED}/scores/{{evaluated_on}}/{{checkpoint}}.csv",
    log:
        f"{SCORED}/scores/{{evaluated_on}}/{{checkpoint}}.log",
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
        content=JOBS.reference_content,
        missing=JOBS.missing_cases,
    shell:
        "python -m contrastseg score --prediction $(dirname {input.index})"
        " --reference $(dirname {input.data[0]}) --config {params.config:q} --output {output.scores} > {log} 2>&1"


# All snapshots of a run in one job, and their scores in one file: a process each would cost more than the work. A run
# has as many as its length and settings give, and no rule could name them. So the index and the file of scores are the
# outputs, and the record of the run is the input.
rule predict_snapshots:
    input:
        run=f"{RUN}/run.json",
        data=ancient(JOBS.test_inputs),
    output:
        index=f"{RUN}/predictions/{{evaluated_on}}/snapshots.json",
    log:
        f"{RUN}/predictions/{{evaluated_on}}/snapshots.log",
    priority: JOBS.priority
    conda:
        ENVIRONMENT
    threads: JOBS.threads
    resources:
        gpu=JOBS.one_gpu,
        mem_mb=JOBS.memory_mb,
        runtime=planning.by_attempt(480),
    params:
        fingerprint=JOBS.snapshots_fingerprint,
        content=JOBS.test_content,
        fold=JOBS.test_fold,
        snapshots=JOBS.snapshot_options,
    shell:
        "python -m contrastseg predict --snapshots"
        " {params.snapshots} --prepared $(dirname {input.data[0]}) --split {input.data[1]} --fold {params.fold}"
        " --subset test --output $(dirname {output.index}) > {log} 2>&1"


rule score_snapshots:
    input:
        index=rules.predict_snapshots.output.index,
        data=ancient(JOBS.test_inputs),
    output:
        scores=f"{RUN}/scores/{{evaluated_on}}/snapshots.csv",
    log:
        f"{RUN}/scores/{{evaluated_on}}/snapshots.log",
    priority: JOBS.priority
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(4000),
        runtime=planning.by_attempt(480),
    params:
        fingerprint=stage_fingerprint("score_snapshots"),
        config=planning.to_argument(
            SUITE.evaluation.model_dump(mode="json", exclude={"also_conventions"})
        ),
        content=JOBS.reference_content,
        missing=JOBS.missing_snapshot_cases,
    shell:
        "python -m contrastseg score --snapshots --prediction $(dirname {input.index})"
        " --reference $(dirname {input.data[0]}) --config {params.config:q} --output {output.scores} > {log} 2>&1"


# The checkpoint with the best test score, from score files alone: nothing that trains or predicts knows of it.
rule oracle:
    input:
        JOBS.candidate_scores,
    output:
        scores=f"{RUN}/scores/{{evaluated_on}}/best_test.csv",
        record=f"{RUN}/scores/{{evaluated_on}}/best_test.json",
    log:
        f"{RUN}/scores/{{evaluated_on}}/best_test.log",
    priority: JOBS.priority
    conda:
        ENVIRONMENT
    resources:
        mem_mb=planning.by_attempt(2000),
        runtime=planning.by_attempt(30),
    params:
        fingerprint=stage_fingerprint("oracle"),
    shell:
        "python -m contrastseg oracle {input} --output {output.scores} > {log} 2>&1"


# After the oracles of all entries that the run is evaluated on. What is removed here can only be trained again.
rule prune_snapshots:
    input:
        JOBS.selections,
    output:
        record=f"{RUN}/checkpoints/pruned.json",
    log:
        f"{RUN}/checkpoints/pruned.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        "python -m contrastseg prune {input} --checkpoints $(dirname {output.record}) > {log} 2>&1"


# The same predictions, scored as published codes would. These scores never mix with the suite's own.
rule score_by_conventions:
    input:
        index=f"{SCORED}/predictions/{{evaluated_on}}/{{checkpoint}}/predictions.json",
        data=ancient(JOBS.test_inputs),
    output:
        scores=f"{SCORED}/scores/{{evaluated_on}}/{{checkpoint}}.conventions.csv",
    log:
        f"{SCORED}/scores/{{evaluated_on}}/{{checkpoint}}.conventions.log",
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
        content=JOBS.reference_content,
        missing=JOBS.missing_cases,
    shell:
        "python -m contrastseg score --prediction $(dirname {input.index})"
        " --reference $(dirname {input.data[0]}) --config {params.config:q} --output {output.scores} > {log} 2>&1"
