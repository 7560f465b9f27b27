use rule train as train_cvrl with:
    wildcard_constraints:
        method="cvrl",
