use rule train as train_dtc with:
    wildcard_constraints:
        method="dtc",
