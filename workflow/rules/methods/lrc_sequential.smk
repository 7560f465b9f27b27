use rule train as train_lrc_sequential with:
    wildcard_constraints:
        method="lrc_sequential",
