"""What scoring costs beside medpy, MONAI and Google's surface-distance: the ratios of times in the same run.

Each contender scores the same generated masks in memory: Dice and HD95 of one pair; of 13 classes ours computes every
metric it has, MONAI in a loop over the classes still only those two. Values are compared: ours must be MONAI's (the
larger of the two directed percentiles) and medpy's (both pooled) to 1e-4; surface-distance weighs its surface by area,
which is another number, and is timed only. Contenders take turns on one thread, and the median of their CPU seconds
counts, because a machine that is busy with other things stretches the clock and not the work. Memory is the highest
resident size of a fresh process that scores 13 classes of a volume, its input included.

Example: `python benchmarks/speed/metrics.py --rounds 5`
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _results import RESULTS, described, peak_memory, results_path, write
from numpy.typing import NDArray
from scipy.ndimage import zoom

import contrastseg
from contrastseg.evaluation.metrics.case_scores import score_case
from contrastseg.evaluation.metrics.catalogue import METRICS

CT, CT_SPACING, LARGE = (120, 512, 512), (2.5, 0.8, 0.8), (200, 512, 512)
CLASSES = 13
COLUMNS = (
    *("case", "shape", "contender", "version", "metrics", "rounds", "cpu_s", "times_ours", "dice", "hd95"),
    *("agrees", "peak_mib", "hardware", "note"),
)
Score = Callable[[NDArray, NDArray, tuple[float, ...]], tuple[float, float]]


class Case(NamedTuple):
    """A prediction and a reference, as label maps."""

    name: str
    prediction: NDArray
    reference: NDArray
    spacing: tuple[float, ...]
    classes: int = 1


def organ(shape: tuple[int, ...], centre: tuple[float, ...], radii: tuple[float, ...], seed: int) -> NDArray:
    """An ellipsoid with a bumpy surface; centre and radii are shares of the shape."""
    places = [(np.arange(n, dtype=np.float32) / n - c) / r for n, c, r in zip(shape, centre, radii, strict=True)]
    squares = np.meshgrid(*(place**2 for place in places), indexing="ij", sparse=True)
    coarse = np.random.default_rng(seed).standard_normal([max(2, n // 12) for n in shape]).astype(np.float32)
    bumps = zoom(coarse, [n / m for n, m in zip(shape, coarse.shape, strict=True)], order=1)
    return np.sqrt(sum(squares)) + 0.12 * bumps < 1


def pair(shape: tuple[int, ...], radii: tuple[float, ...], apart: float = 0.01) -> tuple[NDArray, NDArray]:
    """Two organs whose centres lie `apart` on every axis, as a share of the shape."""
    both = ((0.5 - apart / 2,) * len(shape), (0.5 + apart / 2,) * len(shape))
    first, second = (organ(shape, centre, radii, seed) for seed, centre in enumerate(both))
    return first, second


def organs(shape: tuple[int, ...]) -> tuple[NDArray, NDArray]:
    """Label maps of 13 organs of three sizes on a loose grid, each drawn twice, the second a little away."""
    maps = np.zeros((2, *shape), np.uint8)
    for label in range(1, CLASSES + 1):
        z, y, x = ((label % 2 + 0.7) / 2.6, (label % 3 + 0.8) / 3.6, (label % 5 + 0.8) / 5.6)
        radii = ((0.2, 0.13, 0.1), (0.1, 0.07, 0.06), (0.06, 0.04, 0.03))[label % 3]
        for number, shift in enumerate((0.0, 0.006)):
            maps[number][organ(shape, (z + shift, y + shift, x + shift), radii, 2 * label + number)] = label
    return maps[0], maps[1]


def cases(part: int) -> Iterator[Case]:
    """Every case, its sizes divided by `part`."""

    def shape(*sizes: int) -> tuple[int, ...]:
        return tuple(max(8, size // part) for size in sizes)

    yield Case("2D", *pair(shape(512, 512), (0.3, 0.25)), (1.0, 1.0))
    yield Case("ACDC-like", *pair(shape(10, 256, 216), (0.45, 0.12, 0.12)), (10.0, 1.5, 1.5))
    yield Case("LA-like", *pair(shape(88, 320, 320), (0.3, 0.14, 0.13)), (0.625, 0.625, 0.625))
    yield Case("CT-like", *pair(shape(*CT), (0.3, 0.18, 0.22)), CT_SPACING)
    yield Case("CT-like, disjoint", *pair(shape(*CT), (0.17, 0.17, 0.17), apart=0.45), CT_SPACING)
    yield Case("CT-like, 13 classes", *organs(shape(*CT)), CT_SPACING, CLASSES)


def ours(prediction: NDArray, reference: NDArray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """Dice and HD95."""
    found = score_case(prediction, reference, spacing, 2, ("dice", "hd95"))[0].values
    return found["dice"], found["hd95"]


def of_monai(prediction: NDArray, reference: NDArray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """The same of MONAI."""
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance

    y_pred, y = (torch.from_numpy(mask)[None, None] for mask in (prediction, reference))
    same = {"include_background": True, "percentile": 95, "spacing": spacing}
    return float(compute_dice(y_pred, y)), float(compute_hausdorff_distance(y_pred, y, **same))


def of_medpy(prediction: NDArray, reference: NDArray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """Dice and the pooled HD95 of medpy."""
    binary = importlib.import_module("medpy.metric.binary")
    return float(binary.dc(prediction, reference)), float(binary.hd95(prediction, reference, voxelspacing=spacing))


def of_surface_distance(prediction: NDArray, reference: NDArray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """Dice and the robust Hausdorff distance of surface-distance."""
    google = importlib.import_module("surface_distance")
    distances = google.compute_surface_distances(reference, prediction, spacing)
    dice = google.compute_dice_coefficient(reference, prediction)
    return float(dice), float(google.compute_robust_hausdorff(distances, 95))


CONTENDERS: dict[str, tuple[str, Score]] = {
    "monai": ("monai", of_monai),
    "medpy": ("medpy", of_medpy),
    "surface_distance": ("surface-distance", of_surface_distance),
}


def installed() -> dict[str, str]:
    """Version of each contender that is here; whichever is not, a line says so."""
    found = {}
    for module, (package, _) in CONTENDERS.items():
        try:
            importlib.import_module(module)
            found[module] = importlib.metadata.version(package)
        except ImportError:
            print(f"{module}: not installed, so not measured")
    return found


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process, and what came out."""
    started = time.process_time()
    found = run()
    return time.process_time() - started, found


def agreement(case: Case, contender: str, found: list[tuple[float, float]]) -> str:
    """Whether a contender's values are ours in its definition.

    Raises:
        AssertionError: They should be and are not.
    """
    if contender == "surface_distance":
        return "another definition"
    hd95 = "hd95_pooled" if contender == "medpy" else "hd95"
    rows = score_case(case.prediction, case.reference, case.spacing, case.classes + 1, ("dice", hd95))
    expected = [(row.values["dice"], row.values[hd95]) for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4, err_msg=f"{contender} on {case.name}")
    return "to 1e-4"


def measure(case: Case, versions: dict[str, str], rounds: int) -> list[dict[str, Any]]:
    """One row for each contender, ours first."""
    several = case.classes > 1
    runs: dict[str, Callable[[], Any]] = {}
    for name in versions:
        score = CONTENDERS[name][1]
        if not several:
            # MONAI and surface-distance read 3D or 2D masks as they are; so does medpy.
            runs[name] = lambda score=score: [score(case.prediction, case.reference, case.spacing)]
        elif name == "monai":
            runs[name] = lambda score=score: [
                score(case.prediction == label, case.reference == label, case.spacing)
                for label in range(1, case.classes + 1)
            ]
        else:
            print(f"{case.name}: {name} not measured; it scores one pair at a time, as above")
    if several:
        everything = case.prediction, case.reference, case.spacing, case.classes + 1, tuple(METRICS)
        runs = {
            "contrastseg": lambda: [(r.values["dice"], r.values["hd95"]) for r in score_case(*everything)],
            **runs,
        }
    else:
        runs = {"contrastseg": lambda: [ours(case.prediction, case.reference, case.spacing)], **runs}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    found: dict[str, Any] = {}
    for number in range(rounds):
        for name, run in runs.items():
            # What takes twenty times as long is measured once on what is large.
            if name in ("contrastseg", "monai") or number == 0 or case.prediction.size < 10**6:
                seconds, found[name] = timed(run)
                taken[name].append(seconds)
    own = statistics.median(taken["contrastseg"])
    rows = []
    for name, each in taken.items():
        seconds = statistics.median(each)
        values = found[name] if not several else [tuple(np.mean(found[name], axis=0))]
        rows.append(
            {
                "case": case.name,
                "shape": "x".join(map(str, case.prediction.shape)),
                "contender": name,
                "version": contrastseg.__version__ if name == "contrastseg" else versions[name],
                "metrics": f"all {len(METRICS)}" if several and name == "contrastseg" else "dice, hd95",
                "rounds": len(each),
                "cpu_s": f"{seconds:.4f}",
                "times_ours": f"{seconds / own:.2f}",
                "dice": f"{values[0][0]:.6f}",
                "hd95": f"{values[0][1]:.4f}",
                "agrees": "" if name == "contrastseg" else agreement(case, name, found[name]),
            }
        )
    return rows


def memory(part: int) -> dict[str, Any]:
    """The row of the peak memory, measured in a process of its own."""
    command = [sys.executable, __file__, "--part", str(part), "--measure-memory"]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    return {
        "case": "memory, 13 classes",
        "contender": "contrastseg",
        "version": contrastseg.__version__,
        "metrics": f"all {len(METRICS)}",
        "rounds": 1,
        **told,
    }


def measure_memory(part: int) -> None:
    """Score a large volume and print the seconds, and the highest resident size of this process."""
    shape = tuple(max(8, size // part) for size in LARGE)
    maps = organs(shape)
    before = peak_memory()
    seconds, _ = timed(lambda: score_case(*maps, CT_SPACING, CLASSES + 1, tuple(METRICS)))
    peak = max(peak_memory(), before)
    print(json.dumps({"shape": "x".join(map(str, shape)), "cpu_s": f"{seconds:.4f}", "peak_mib": round(peak / 2**20)}))


def show(row: dict[str, Any]) -> None:
    """A row as a line."""
    line = f"{row['case']:<22}{row['contender']:<18}{float(row['cpu_s']):>9.3f} s"
    if row.get("peak_mib"):
        line += f"   peak {row['peak_mib']} MiB"
    else:
        line += f"{row['times_ours']:>9} times ours   {row['agrees']}"
    print(line, flush=True)


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of ours and MONAI's; medpy has one on what is large")
    parser.add_argument("--part", type=int, default=1, help="divides the sizes, for a quick look")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    parser.add_argument("--measure-memory", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure_memory:
        return measure_memory(given.part)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    versions = installed()
    rows = []
    for case in cases(given.part):
        for row in measure(case, versions, given.rounds):
            rows.append(row)
            show(row)
    rows.append(memory(given.part))
    show(rows[-1])
    file = results_path(given.output, "metrics")
    write(file, COLUMNS, ({**row, "hardware": described(), "note": given.note} for row in rows))
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
