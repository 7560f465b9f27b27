use rule train as train_ict with:
    wildcard_constraints:
        method="ict",
