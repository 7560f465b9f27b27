# nnU-Net reads the published files itself, and its own schedule is one of days rather than hours.
use rule train as train_nnunet with:
    input:
        data=ancient(JOBS.manifest),
        split=ancient(JOBS.split_path),
        raw=ancient(JOBS.downloads),
    wildcard_constraints:
        method="nnunet",
    resources:
        gpu=JOBS.gpus,
        mem_mb=JOBS.memory_mb,
        runtime=planning.by_attempt(5760),
