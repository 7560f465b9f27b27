use rule train as train_admt with:
    wildcard_constraints:
        method="admt",
