use rule train as train_simsiam with:
    wildcard_constraints:
        method="simsiam",
