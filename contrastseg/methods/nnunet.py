"""nnU-Net: its own planner, trainer and predictor on this benchmark's splits, with PDCR and UAFR as variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrastseg.methods.contract import Card, Circumstances, Method, Stage, Task, View
from contrastseg.methods.pdcr import PDCR
from contrastseg.methods.uafr import SITE_CHOICES, SITE_OPTIONS, SITES, attach_reweighting

SCHEDULE = (1000, 250)
"""Epochs and iterations per epoch of the paper and of the released code."""


class NNUNet(Method):
    """nnU-Net v2 from fingerprint to prediction. What it decides from the data is its own; who is labelled is not."""

    name = "nnunet"
    printed = "nnU-Net"
    engine = "contrastseg.training.nnunet"
    card = Card(
        title="nnU-Net",
        paper="Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image"
        " segmentation, Nature Methods 2021",
        year=2021,
        doi="10.1038/s41592-020-01008-z",
        provenance="official",
        summary="Runs the authors' package nnunetv2 on native images: its fingerprint, planner, preprocessing, trainer"
        " and predictor choose network, patch, batch, spacing, augmentation and optimiser from the labelled cases.",
        differs=(
            "One network trained on all labelled cases (fold `all`), no ensemble of five folds, no cascade and no"
            " post-processing: validation patients are those of the benchmark's split, and labelled ones all train.",
            "The pseudo Dice of each epoch is not computed: on fold `all` it would be that of the training cases.",
            "The suite's network, patch, batch, optimiser, augmentation, precision and steps do not apply to it;"
            " threads, device, checkpoint and validation intervals do.",
            "torch.compile is off: it needs a compiler on the machine, and the variants look into the network.",
            "Intensity statistics are drawn from ten times the labelled voxels where that is less than nnU-Net's 10^8.",
            "Every epoch is seeded, and Gaussian blur does not time itself to choose an algorithm. Without augmentation"
            " workers a CPU run is then repeatable and resumes bit for bit; with workers batches arrive in any order.",
            "PDCR as in `pdcr`, on the maps of nnU-Net's own stages and beside its deep supervision, both in 2D and 3D;"
            " UAFR's blocks stand after every decoder stage, as in the released 3D code.",
        ),
        options={
            **PDCR.card.options,
            **SITE_OPTIONS,
            "encoder_sites": "0, as in the released nnU-Net code",
            "decoder_sites": "unset: all, as in the released nnU-Net code",
            "configuration": "unset: `2d` or `3d_fullres`, whichever has the dimensions the suite asks for; nnU-Net "
            "cuts slices along the axis of the largest spacing, whatever `preparation.slice_axis` says",
            "epochs": "1000, the released value; a shorter schedule is printed with the name",
            "iterations_per_epoch": "250, the released value; a shorter schedule is printed with the name",
            "augmentation": "true; false is nnU-Net's own trainer without augmentation, and nothing is mirrored in "
            "inference either",
            "augmentation_workers": "unset: as many as the run's threads on a GPU, none on the CPU",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled")}),)
    defaults = {
        **PDCR.defaults,
        **SITES,
        "encoder_sites": 0,
        "pdcr": False,
        "uafr": False,
        "configuration": None,
        "epochs": SCHEDULE[0],
        "iterations_per_epoch": SCHEDULE[1],
        "augmentation": True,
        "augmentation_workers": None,
    }
    choices = {**PDCR.choices, **SITE_CHOICES, "configuration": ("2d", "3d_fullres", "3d_lowres")}
    variants = {
        "default": {},
        "pdcr": {"pdcr": True},
        "uafr": {"uafr": True},
        "pdcr_uafr": {"pdcr": True, "uafr": True},
        "no_augmentation": {"augmentation": False},
    }
    memory_mb = 16_000

    @classmethod
    def own_training(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The steps its schedule comes to."""
        return {"steps": settings["epochs"] * settings["iterations_per_epoch"]}

    @classmethod
    def name_note(cls, settings: Mapping[str, Any]) -> str:
        """The schedule, when it is not the paper's."""
        schedule = (settings["epochs"], settings["iterations_per_epoch"])
        return "" if schedule == SCHEDULE else f"{schedule[0]} × {schedule[1]} iterations"

    @classmethod
    def extend(cls, network: Any, settings: Mapping[str, Any], task: Task) -> PDCR | None:
        """Give nnU-Net's network what a variant adds: UAFR's blocks, PDCR's adapters.

        Args:
            network: Its maps as methods see them; blocks are attached to it.
            settings: The method's.
            task: What the network is for; `build_network` is not asked.

        Returns:
            The method whose `regularisation` computes PDCR's terms; None without.

        Raises:
            SuiteError: The network has no map of a stride that PDCR asks for.
        """
        if settings["uafr"]:
            decoder = [name for name in network.channels if name.startswith("decoder")]
            chosen = len(decoder) if settings["decoder_sites"] is None else settings["decoder_sites"]
            attach_reweighting(network, task.spatial_dims, {**settings, "decoder_sites": chosen})
        if not settings["pdcr"]:
            return None
        method = PDCR(Task(**{**vars(task), "build_network": lambda: network}), settings)
        method.modules = dict(method.build())
        return method

    @classmethod
    def applies_to(cls, here: Circumstances) -> str | None:
        """None when it can run; its 3D configurations need volumes."""
        if here.spatial_dims == 3 and not here.volumes:
            return f"{cls.name} in 3D needs volumes"
        return super().applies_to(here)
