use rule train as train_ua_mt with:
    wildcard_constraints:
        method="ua_mt",
