use rule train as train_mean_teacher with:
    wildcard_constraints:
        method="mean_teacher",
