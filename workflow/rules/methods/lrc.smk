use rule train as train_lrc with:
    wildcard_constraints:
        method="lrc",
