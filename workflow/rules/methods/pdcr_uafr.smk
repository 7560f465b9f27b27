use rule train as train_pdcr_uafr with:
    wildcard_constraints:
        method="pdcr_uafr",
