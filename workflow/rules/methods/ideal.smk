use rule train as train_ideal with:
    wildcard_constraints:
        method="ideal",
