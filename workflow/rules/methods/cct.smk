use rule train as train_cct with:
    wildcard_constraints:
        method="cct",
