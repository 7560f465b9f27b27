use rule train as train_urpc with:
    wildcard_constraints:
        method="urpc",
