use rule train as train_mae with:
    wildcard_constraints:
        method="mae",
