"""Imports torchvision also where its compiled operators are absent, as beside a torch built for the CPU alone."""

from __future__ import annotations

import sys
from types import ModuleType

# What torchvision's Python part registers itself for when it is imported. Nothing here calls them.
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_defined: list[object] = []  # a torch.library.Library takes its operators along when it is collected


def import_torchvision() -> ModuleType:
    """Import torchvision; afterwards what builds on it (timm, segmentation_models_pytorch) can be imported too.

    A torchvision built for another torch cannot load its operators and stops at "operator torchvision::nms does not
    exist". The two operators its import asks for are then declared, without a body: networks of convolutions run, and
    non-maximum suppression says that it is not implemented.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: It cannot be imported for another reason.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        import torch

        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in _OPERATORS:
            library.define(operator)
        _defined.append(library)
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torchvision
    module: ModuleType = torchvision
    return module


def has_stand_ins() -> bool:
    """Say whether `import_torchvision` had to declare operators."""
    return bool(_defined)
