"""Definitions that gained something no earlier run could ask for: hashed as they were, so that it reruns nothing.

Whoever adds a row shows by a test that the definition does the same where the addition is not asked for. A row pins the
text of the definition, so the next edit of it counts again. A row stays as long as results from before it shall be
recognised.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from contrastseg.code_graph.normal_form import NormalForm


class Extended(NamedTuple):
    """An addition to a definition.

    Attributes:
        definition: `package.module:name`, where it lies.
        now: Digest of its normal form with the addition.
        before: The digest without it.
        added: Parameters that it gained.
    """

    definition: str
    now: str
    before: str
    added: tuple[str, ...] = ()


EXTENDED: tuple[Extended, ...] = (
    # The weight of the Dice in the mean; None, the half it always was.
    Extended(
        "contrastseg.losses.segmentation:segmentation_loss",
        "c7ddda4291418ad89f70d21af74f500bfca92986e10f6cf809e259fc0a0631fc",
        "5787abb10c2898b8d3e98029c8e192d45b08444112b2352a76907f7f04cce904",
        ("dice_share",),
    ),
    # A pool for stages that learn from labelled images, too; those without labels have the cases they always had.
    Extended(
        "contrastseg.training.training_cases:open_pool",
        "ea1ab77d7d2b34de21232bdc08300e8631f9748a555e9c7a1a6e24663e061b63",
        "b7e70be5035ceb83603c0db262201e2a1c806278885aec31cae4b84110474de0",
    ),
    # What a card states leaves out the ranges of tuned suites, which cards did not have.
    Extended(
        "contrastseg.training.run_record:_card",
        "55d42f0ade0f047b1d422ed62b25747cf7e1a00ef34304170edca1f2676adb4a",
        "b5199e23032a523d05aa7a29f158c6b10f7d36ab932d02e65be63b45bf35ba38",
    ),
)


def without_extension(form: NormalForm) -> NormalForm:
    """The normal form of a definition as it was before its addition; the form itself where no row has it."""
    row = next((row for row in EXTENDED if row.now == form.digest), None)
    if row is None:
        return form
    return replace(form, digest=row.before, parameters=tuple(n for n in form.parameters if n not in row.added))
