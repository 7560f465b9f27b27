"""A file of weights from elsewhere as a method: supervised training that starts from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrastseg.errors import SuiteError
from contrastseg.methods.contract import Card
from contrastseg.methods.supervised import Supervised


class Pretrained(Supervised):
    """`supervised` on the same network, whose encoder and what else fits start from the file that `weights` names."""

    name = "pretrained"
    card = Card(
        title="Pre-trained weights from a file",
        paper="Tajbakhsh et al., Convolutional Neural Networks for Medical Image Analysis: Full Training or Fine"
        " Tuning?, IEEE Transactions on Medical Imaging 2016",
        year=2016,
        doi="10.1109/TMI.2016.2535302",
        provenance="published",
        summary="Loads a file of weights into the network and trains all of it on the labelled cases, as `supervised`"
        " does. The record of the run and the table name the file, its hash and what is stated of its data.",
        differs=(
            "All layers are trained from the first step, with one learning rate. The paper also trains the last layers"
            " alone, more and more of them.",
            "The network, the loss and the number of steps are the suite's, the same for every method. The steps that"
            " the file took are not counted.",
        ),
        options={
            "weights": "the file; it has no default, because the benchmark ships no weights",
            "prefix": "what the names in the file begin with; found by comparing names where unset",
            "source": "where the file comes from, as you state it",
            "data": "what it was trained on, as you state it",
            "test_cases": "unknown; `stated` where the source states that no test case was among that data",
        },
    )
    defaults = {"weights": None, "prefix": None, "source": None, "data": None, "test_cases": "unknown"}
    choices = {"test_cases": ("unknown", "stated")}

    @classmethod
    def own_training(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The file and what is stated of it, as options of the network; a file that the suite names gives way.

        Raises:
            SuiteError: `weights` names no file.
        """
        file = settings["weights"]
        if not isinstance(file, str) or file in ("none", "imagenet"):
            raise SuiteError(
                f"pretrained starts from a file of weights, and its setting `weights` is {file!r}",
                remedy="give its entry `settings: {weights: FILE}`, or one of its variants {weights: FILE}",
            )
        stated = {name: settings[name] or "" for name in ("source", "data")}
        return {
            "network": {
                "weights": file,
                "weights_map": "auto" if settings["prefix"] is None else {"prefix": settings["prefix"]},
                "weights_from": {**stated, "test_cases": settings["test_cases"]},
            }
        }
