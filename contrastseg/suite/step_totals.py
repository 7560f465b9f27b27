"""Equal numbers of steps: `budget: steps` for a whole suite, the variant `equal_steps` for one row of it.

A total is divided over the stages of a method in proportion to the lengths that the suite gives them. Shares are
rounded down, and the last stage gets the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.errors import UnavailableDataError
from contrastseg.methods import registry
from contrastseg.suite.entries import EQUAL_STEPS, DatasetEntry, MethodEntry
from contrastseg.suite.overrides import of_stage

if TYPE_CHECKING:
    from contrastseg.suite.fields import SuiteFields


def divided(total: int, lengths: Mapping[str, int]) -> dict[str, int]:
    """Divide a total over stages in proportion to their lengths.

    Args:
        total: Steps of all stages together.
        lengths: Steps of each stage before, in the order of the stages.

    Returns:
        ⌊total × length / Σ lengths⌋ for every stage but the last, which has the rest.

    Example:
        >>> divided(1000, {"pretrain": 400, "local": 400, "train": 400})
        {'pretrain': 333, 'local': 333, 'train': 334}
    """
    *before, last = lengths
    shares = {stage: total * lengths[stage] // sum(lengths.values()) for stage in before}
    return shares | {last: total - sum(shares.values())}


def has_own_length(method: MethodEntry, variant: str) -> bool:
    """Whether the steps of a method follow from its own settings, as nnU-Net's schedule: no total applies to it."""
    return "steps" in registry.get(method.name).own_training(method.resolve(variant))


def is_equal_steps(method: MethodEntry, variant: str) -> bool:
    """Whether a variant is the row with as many steps as the longest method, not a variant of the method's own."""
    return variant == EQUAL_STEPS and EQUAL_STEPS not in registry.get(method.name).variants


def unequal_lengths(suite: SuiteFields, entry: DatasetEntry, method: MethodEntry, variant: str) -> dict[str, int]:
    """Steps of each stage as written: from the weakest to the strongest place, without a total.

    Raises:
        ValueError: A length is in epochs.
    """
    kind = registry.get(method.name)
    run = suite.training_of(entry, method, variant)
    lengths = {}
    for stage in kind.stages:
        own = method.stages.get(stage.name, {})
        steps = own.get("steps", stage.training.get("steps", run.steps))
        if steps is None or own.get("epochs") is not None or stage.training.get("epochs") is not None:
            raise ValueError(
                f"equal steps need lengths in steps, and stage {stage.name} of {method.name} on {entry.name} has one"
                " in epochs: give it `steps`"
            )
        lengths[stage.name] = int(steps)
    return lengths


def longest_method(suite: SuiteFields, entry: DatasetEntry) -> tuple[str, int]:
    """The method with the most steps over its stages on an entry, as `method` or `method/variant`, and that number.

    The first in the suite's order counts. Methods with a length of their own and methods that are not defined in the
    entry's dimensions are left out.

    Raises:
        ValueError: A length is in epochs.
    """
    totals = {}
    for method in suite.methods:
        if not _defined(entry, method):
            continue
        for variant in method.variants:
            if not is_equal_steps(method, variant) and not has_own_length(method, variant):
                name = method.name if variant == "default" else f"{method.name}/{variant}"
                totals[name] = sum(unequal_lengths(suite, entry, method, variant).values())
    if not totals:
        raise ValueError(f"{EQUAL_STEPS} on {entry.name} has no method to be as long as: add one")
    name = max(totals, key=totals.__getitem__)
    return name, totals[name]


def _defined(entry: DatasetEntry, method: MethodEntry) -> bool:
    try:
        dims = entry.spatial_dims or entry.spec.spatial_dims
    except UnavailableDataError:  # what is not on this machine, the plan lists: its dimensions are not known
        return True
    return dims in registry.get(method.name).spatial_dims


def total_of(suite: SuiteFields, entry: DatasetEntry, method: MethodEntry, variant: str) -> int | None:
    """Steps over all stages that a total prescribes; None where each stage has the length that is written for it.

    Raises:
        ValueError: A length is in epochs.
    """
    equal = is_equal_steps(method, variant)
    if not entry.evaluate_on or (suite.budget is None and not equal) or has_own_length(method, variant):
        return None
    if suite.budget == "steps":
        steps = entry.training.get("steps", None if entry.training.get("epochs") else suite.training.steps)
        if steps is None:
            raise ValueError(f"budget: steps needs a length in steps, and {entry.name} has one in epochs")
        return int(steps)
    return longest_method(suite, entry)[1]


def stage_override(
    suite: SuiteFields, entry: DatasetEntry, method: MethodEntry, variant: str, stage: str
) -> dict[str, Any]:
    """The suite's own settings of a stage, with the steps of a total where they differ from those written.

    A stage that has them already keeps its settings as they are, and so its finished runs. The falls of `schedule:
    step` keep their places along the stage: `step_every` is scaled with its length.

    Raises:
        ValueError: A length is in epochs.
    """
    own = dict(method.stages.get(stage, {}))
    total = total_of(suite, entry, method, variant)
    if total is None:
        return own
    written = unequal_lengths(suite, entry, method, variant)
    steps = divided(total, written)[stage]
    if steps == written[stage]:
        return own
    optimiser = of_stage(suite.training_of(entry, method, variant), method, variant, stage, own).optimiser
    if optimiser.schedule == "step" and optimiser.step_every is not None:
        every = max(1, round(optimiser.step_every * steps / written[stage]))
        own["optimiser"] = {**own.get("optimiser", {}), "step_every": every}
    return own | {"steps": steps}


def step_totals(suite: SuiteFields) -> list[dict[str, Any]]:
    """Every method and variant of every entry with a total: dataset, method, variant, total and steps of each stage.

    `as_long_as` names the longest method where the variant `equal_steps` follows it.
    """
    return [
        {
            "dataset": entry.name,
            "method": method.name,
            "variant": variant,
            "total": total,
            "stages": divided(total, unequal_lengths(suite, entry, method, variant)),
            "as_long_as": longest_method(suite, entry)[0] if suite.budget is None else "",
        }
        for entry, method, variant in _trained(suite)
        if (total := total_of(suite, entry, method, variant)) is not None
    ]


def _trained(suite: SuiteFields) -> Iterator[tuple[DatasetEntry, MethodEntry, str]]:
    for entry in suite.datasets:
        for method in suite.methods if entry.evaluate_on else ():
            for variant in method.variants if _defined(entry, method) else ():
                yield entry, method, variant


def check_totals(suite: SuiteFields) -> None:
    """Check that every total can be divided, and that no key beside it is without effect.

    Raises:
        SuiteError: A length that is written is not valid.
        ValueError: A recipe or the row of equal steps stands beside a budget, a length is in epochs, a length of a
            whole method has no effect, or a stage gets fewer steps than one or than its warm-up.
    """
    if suite.budget is not None and suite.recipe is not None:
        raise ValueError(f"budget: {suite.budget} changes lengths that the recipe {suite.recipe} states: leave one out")
    trained = list(_trained(suite))
    if suite.budget is None and not any(is_equal_steps(method, variant) for _, method, variant in trained):
        return
    for entry, method, variant in trained:  # what is written is valid before it is divided
        training = suite.training_of(entry, method, variant)
        for each in registry.get(method.name).stages:
            of_stage(training, method, variant, each.name, method.stages.get(each.name, {}))
    for entry, method, variant in trained:
        if (total := total_of(suite, entry, method, variant)) is None:
            continue
        if is_equal_steps(method, variant) and suite.budget is not None:
            raise ValueError(f"{method.name}/{EQUAL_STEPS} is {method.name} itself under budget: steps: leave it out")
        for place in (method.training, method.variant_training(variant)):
            if "steps" in place or "epochs" in place:
                raise ValueError(
                    f"the length of {method.name} ({variant}) has no effect, for it gets a total of {total} steps:"
                    " take it out; lengths of single stages set their shares"
                )
        for stage, steps in divided(total, unequal_lengths(suite, entry, method, variant)).items():
            warmup = suite.stage_training(entry, method, variant, stage).optimiser.warmup_steps if steps else 0
            if steps <= warmup:
                raise ValueError(
                    f"stage {stage} of {method.name} on {entry.name} gets {steps} of {total} steps, and needs"
                    f" {warmup + 1} at least: raise training.steps or its share (`stages`)"
                )
