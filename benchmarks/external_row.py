"""A row of another "trainer" for the demonstration: dark regions of the lesions, by Otsu's threshold, no training.

Run from the folder of the results, before or after the suite. A row that is there stays.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.planning.data_paths import prepared_of
from contrastseg.planning.entered_runs import stored_evaluations
from contrastseg.suite import Suite, load_suite

SUITE, ENTRY, METHOD = "benchmarks/demo.yaml", "lesions", "threshold"
STATED = {
    "title": "Otsu's threshold",
    "summary": "The largest dark region of the photograph. It shows how a row of another trainer looks.",
    "checkpoint": "no training",
    "training_data": "none",
    "code": "benchmarks/external_row.py",
}


def main() -> None:
    """Prepare and split the data, predict the test cases, and enter them at the smallest label budget."""
    suite = load_suite(SUITE)
    if any(run.method == METHOD for run, _, _ in stored_evaluations(suite)):
        return
    snakemake = ["snakemake", "--configfile", SUITE, "--cores", "all", "--until", "split", "--quiet", "rules"]
    subprocess.run([sys.executable, "-m", *snakemake], check=True)
    row = ["--suite", SUITE, "--entry", ENTRY, "--method", METHOD, "--labels", suite.labels[0]]
    with tempfile.TemporaryDirectory() as folder:
        protocol = Path(folder) / "protocol.json"
        _contrastseg("export-protocol", SUITE, "--entry", ENTRY, "--output", str(protocol))
        maps = Path(folder) / "maps"
        predict(suite, json.loads(protocol.read_text(encoding="utf-8"))["test"][f"{ENTRY}/fold0"], maps)
        _contrastseg("enter", str(maps), *row, "--protocol", str(protocol), "--stated", json.dumps(STATED))


def _contrastseg(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "contrastseg", *arguments], check=True)


def predict(suite: Suite, cases: list[str], output: Path) -> None:
    """Write a label map for each case. The images are generated, so they are read where they were prepared."""
    dataset = PreparedDataset(prepared_of(suite.entry(ENTRY)))
    output.mkdir()
    for name in cases:
        case = dataset.load(name, with_label=False)
        labels = case.geometry.to_native(dark_region(case.image), 0)
        Image.fromarray(labels).save(output / f"{name}.png")


def dark_region(image: NDArray) -> NDArray:
    """The largest connected region below Otsu's threshold that does not touch the border, as uint8.

    Args:
        image: (C, rows, columns).
    """
    grey = ndimage.gaussian_filter(image.astype(float).mean(0), 1)
    regions, count = ndimage.label(grey < threshold_otsu(grey))
    border = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    sizes[border] = 0
    sizes[0] = 0
    return (regions == sizes.argmax()).astype(np.uint8) * np.uint8(sizes.max() > 0)


if __name__ == "__main__":
    main()
