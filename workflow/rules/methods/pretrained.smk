use rule train as train_pretrained with:
    wildcard_constraints:
        method="pretrained",
