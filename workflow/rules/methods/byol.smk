use rule train as train_byol with:
    wildcard_constraints:
        method="byol",
