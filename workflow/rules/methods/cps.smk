use rule train as train_cps with:
    wildcard_constraints:
        method="cps",
