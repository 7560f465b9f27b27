use rule train as train_entropy with:
    wildcard_constraints:
        method="entropy",
