use rule train as train_lrc_supervised with:
    wildcard_constraints:
        method="lrc_supervised",
