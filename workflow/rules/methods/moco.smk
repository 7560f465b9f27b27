use rule train as train_moco with:
    wildcard_constraints:
        method="moco",
