use rule train as train_glcl with:
    wildcard_constraints:
        method="glcl",
