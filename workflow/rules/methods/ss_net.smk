use rule train as train_ss_net with:
    wildcard_constraints:
        method="ss_net",
