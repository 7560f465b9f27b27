use rule train as train_unimatch with:
    wildcard_constraints:
        method="unimatch",
