use rule train as train_pdcr with:
    wildcard_constraints:
        method="pdcr",
