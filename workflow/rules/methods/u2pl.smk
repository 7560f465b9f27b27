use rule train as train_u2pl with:
    wildcard_constraints:
        method="u2pl",
