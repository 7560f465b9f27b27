"""A stored reference, taken for a prediction, scores perfectly in the patient's own grid: nothing moves on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastseg.data.files.formats import read_label, write_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry import registry
from contrastseg.evaluation.metrics.case_scores import score_case
from contrastseg.evaluation.scoring.scoring import score_folder
from contrastseg.labels import IGNORE
from tests import miniatures

NAMES = registry.names()


def prepare(name: str, preparation: Mapping[str, Any] | None, folder: Path) -> PreparedDataset:
    if registry.get(name).generated:
        prepare_dataset("entry", name, {"cases": 2}, preparation, None, folder / "out")
    else:
        small = miniatures.get(name)
        small.make(folder / "raw")
        prepare_dataset("entry", name, small.options, preparation, folder / "raw", folder / "out")
    return PreparedDataset(folder / "out")


def labelled(prepared: PreparedDataset) -> list[str]:
    index = prepared.index
    return [str(case) for case in index["case"][index["labelled"]]]


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_is_a_perfect_prediction(name: str, tmp_path: Path) -> None:
    generated = registry.get(name).generated
    prepared = prepare(name, None if generated else miniatures.get(name).preparation, tmp_path)
    for case in labelled(prepared):
        reference, spacing, affine = read_label(prepared.reference_path(case))
        geometry = prepared.geometry(case)
        assert reference.shape == geometry.native_shape
        if spacing is not None:
            assert spacing == pytest.approx(geometry.native_spacing)
            assert np.allclose(affine, geometry.affine, atol=1e-3)
        prediction = np.where(reference == IGNORE, 0, reference)
        write_label(tmp_path / "predictions" / prepared.native_name(case), prediction, geometry)
        asked = prediction, reference, spacing, prepared.num_classes, ("dice", "hd95")
        for scores in score_case(*asked, ignore=IGNORE):
            present = bool((reference == scores.label).any())
            assert scores.outcome == ("scored" if present else "absent")
            if present:
                assert scores.values == {"dice": 1, "hd95": 0}
    rows = score_folder(tmp_path / "predictions", prepared, ("dice", "hd95"), cases=labelled(prepared))
    scored = rows[rows["outcome"] == "scored"]
    assert set(scored["class"]) == set(prepared.info.classes[1:])
    assert (scored["value"] == np.where(scored["metric"] == "dice", 1.0, 0.0)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_prepared_label_brought_back_is_the_reference(name: str, tmp_path: Path) -> None:
    prepared = prepare(name, {"size": None, "spacing": None}, tmp_path)
    for case in map(prepared.load, labelled(prepared)):
        assert case.label is not None
        assert case.label.shape == case.geometry.native_shape
        reference, _, _ = read_label(prepared.reference_path(case.case))
        assert np.array_equal(case.geometry.to_native(case.label, 0), reference)
