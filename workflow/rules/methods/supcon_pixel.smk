use rule train as train_supcon_pixel with:
    wildcard_constraints:
        method="supcon_pixel",
