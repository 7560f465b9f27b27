use rule train as train_bcp with:
    wildcard_constraints:
        method="bcp",
