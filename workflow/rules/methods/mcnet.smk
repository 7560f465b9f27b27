use rule train as train_mcnet with:
    wildcard_constraints:
        method="mcnet",
