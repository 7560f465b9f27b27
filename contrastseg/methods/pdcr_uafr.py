"""PDCR and UAFR together, the paper's full model."""

from __future__ import annotations

from typing import Any

from contrastseg.methods.contract import Card
from contrastseg.methods.pdcr import DOI, PAPER, PDCR
from contrastseg.methods.uafr import SITE_CHOICES, SITE_OPTIONS, SITES, attach_reweighting


class PDCRUAFR(PDCR):
    """The patch-dragsaw terms on a network whose features are re-weighted by their certainty."""

    name = "pdcr_uafr"
    card = Card(
        title="PDCR + UAFR",
        paper=PAPER,
        year=2022,
        doi=DOI,
        provenance="official",
        summary="PDCR's terms, computed on maps that UAFR's blocks have re-weighted.",
        differs=(
            *PDCR.card.differs,
            "The cross-layer term reads maps after their blocks; the released code reads them before.",
        ),
        options={**PDCR.card.options, **SITE_OPTIONS},
    )
    defaults = {**PDCR.defaults, **SITES}
    choices = {**PDCR.choices, **SITE_CHOICES}

    def build_network(self) -> Any:
        """The network with its blocks."""
        return attach_reweighting(self.task.build_network(), self.task.spatial_dims, self.settings)
