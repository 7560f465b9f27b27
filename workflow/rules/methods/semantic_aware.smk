use rule train as train_semantic_aware with:
    wildcard_constraints:
        method="semantic_aware",
