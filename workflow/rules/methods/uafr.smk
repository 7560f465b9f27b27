use rule train as train_uafr with:
    wildcard_constraints:
        method="uafr",
