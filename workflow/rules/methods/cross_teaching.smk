use rule train as train_cross_teaching with:
    wildcard_constraints:
        method="cross_teaching",
