use rule train as train_volume_fusion with:
    wildcard_constraints:
        method="volume_fusion",
