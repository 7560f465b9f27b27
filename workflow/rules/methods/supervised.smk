use rule train as train_supervised with:
    wildcard_constraints:
        method="supervised",
