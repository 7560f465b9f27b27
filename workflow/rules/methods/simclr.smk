use rule train as train_simclr with:
    wildcard_constraints:
        method="simclr",
