"""How fast data is prepared, beside nnU-Net's preprocessing of the same files on the same machine in the same run.

Each contender prepares the same generated volumes in a fresh process, case by case, from files to files, at the native
spacing and resampled. Contenders take turns, and the median of the rounds counts. Generating, planning and importing
are not timed. Memory is the process's highest resident size, and how much that is above its size before the first case.

What they do is not the same: nnU-Net resamples images by cubic splines and compresses what it stores; ours resamples
linearly, stores arrays as they are, writes each label again as NIfTI for scoring, and hashes what it read and wrote.

Example: `python benchmarks/speed/preparation.py --cases 6 --shape 48 160 160`
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _results import RESULTS, described, peak_memory, results_path, write

FOLDER = "Dataset001_Speed"
ENDING = ".nii.gz"
RULES: dict[str, list[float] | None] = {"native spacing": None, "resampled to 4 x 1.2 x 1.2 mm": [4.0, 1.2, 1.2]}
COLUMNS = (
    *("rule", "contender", "version", "cases", "shape", "rounds", "seconds", "cases_per_s", "peak_mib"),
    *("above_start_mib", "speed_ratio", "hardware", "note"),
)


def generate(root: Path, cases: int, shape: tuple[int, int, int]) -> None:
    """Write volumes of the phantom in nnU-Net's layout."""
    import nibabel

    from contrastseg.data.datasets.phantom_organs import SPACING, draw
    from contrastseg.files import write_json

    folder = root / "raw" / FOLDER
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    labels = {"background": 0, "liver": 1, "spleen": 2, "right kidney": 3, "left kidney": 4}
    described = {"channel_names": {"0": "MR"}, "labels": labels, "numTraining": cases, "file_ending": ENDING}
    write_json(folder / "dataset.json", described)
    for number in range(cases):
        image, label = draw(np.random.default_rng(number), shape)
        affine = np.diag([*SPACING[::-1], 1.0])
        for array, path in ((image, f"imagesTr/case{number:02d}_0000"), (label, f"labelsTr/case{number:02d}")):
            nibabel.save(nibabel.Nifti1Image(array.transpose(), affine), folder / f"{path}{ENDING}")


def nnunet_environment(root: Path) -> dict[str, str]:
    """Where nnU-Net looks for its files."""
    names = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
    return {name: str(root / folder) for name, folder in names.items()}


def plan_nnunet(root: Path) -> None:
    """Fingerprint and plans of nnU-Net, one for each rule."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprint_dataset,
        plan_experiment_dataset,
    )

    (root / "preprocessed").mkdir(exist_ok=True)
    extract_fingerprint_dataset(1, num_processes=1, verbose=False, show_progress_bar=False)
    for number, spacing in enumerate(RULES.values()):
        plan_experiment_dataset(1, overwrite_target_spacing=spacing, overwrite_plans_name=f"plans{number}")


def run_nnunet(root: Path, rule: str, output: Path) -> Callable[[], None]:
    """nnU-Net's preprocessing, ready to start."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    raw, plans = root / "raw" / FOLDER, f"plans{list(RULES).index(rule)}.json"
    manager = PlansManager(str(root / "preprocessed" / FOLDER / plans))
    configuration, described = manager.get_configuration("3d_fullres"), json.loads((raw / "dataset.json").read_text())
    output.mkdir(parents=True)

    def run() -> None:
        preprocessor = DefaultPreprocessor(verbose=False)
        for label in sorted((raw / "labelsTr").iterdir()):
            case = label.name.removesuffix(ENDING)
            images = [str(raw / "imagesTr" / f"{case}_0000{ENDING}")]
            preprocessor.run_case_save(str(output / case), images, str(label), manager, configuration, described)

    return run


def run_ours(root: Path, rule: str, output: Path) -> Callable[[], None]:
    """Our preparation, ready to start."""
    from contrastseg.data.prepare.preparation import prepare_dataset

    importlib.import_module("nibabel")  # what it imports at the first case is not to be timed
    raw = root / "raw" / FOLDER

    def run() -> None:
        prepare_dataset("speed", "nnunet", {"path": str(raw)}, {"spacing": RULES[rule]}, raw, output)

    return run


def measure(root: Path, contender: str, rule: str, output: Path) -> None:
    """Run one contender in this process and print seconds and memory as JSON."""
    run = {"contrastseg": run_ours, "nnunetv2": run_nnunet}[contender](root, rule, output)
    before = peak_memory()
    started = time.perf_counter()
    run()
    seconds = time.perf_counter() - started
    peak = peak_memory()
    print(json.dumps({"seconds": seconds, "peak": peak, "above": peak - before}))


def compare(cases: int, shape: tuple[int, int, int], rounds: int, note: str) -> list[dict[str, Any]]:
    """One row for each rule and contender."""
    import contrastseg

    versions = {"nnunetv2": importlib.metadata.version("nnunetv2"), "contrastseg": contrastseg.__version__}
    rows = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        environment = {**os.environ, **nnunet_environment(root)}
        generate(root, cases, shape)
        _start(root, environment, "--plan")
        for rule in RULES:
            taken: dict[str, list[dict[str, float]]] = {name: [] for name in versions}
            for number in range(rounds):
                for contender in versions:
                    output = root / "out" / f"{contender}-{list(RULES).index(rule)}-{number}"
                    told = _start(root, environment, "--measure", contender, rule, str(output))
                    taken[contender].append(json.loads(told.splitlines()[-1]))
            seconds = {name: statistics.median(one["seconds"] for one in each) for name, each in taken.items()}
            for contender, each in taken.items():
                rows.append(
                    {
                        "rule": rule,
                        "contender": contender,
                        "version": versions[contender],
                        "cases": cases,
                        "shape": "x".join(map(str, shape)),
                        "rounds": rounds,
                        "seconds": round(seconds[contender], 3),
                        "cases_per_s": round(cases / seconds[contender], 3),
                        "peak_mib": round(max(one["peak"] for one in each) / 2**20),
                        "above_start_mib": round(max(one["above"] for one in each) / 2**20),
                        "speed_ratio": round(seconds["nnunetv2"] / seconds[contender], 2),
                        "hardware": described(),
                        "note": note,
                    }
                )
    return rows


def _start(root: Path, environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, __file__, "--root", str(root), *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--shape", type=int, nargs=3, default=(48, 160, 160), metavar=("Z", "Y", "X"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plan", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plan:
        return plan_nnunet(given.root)
    if given.measure:
        contender, rule, output = given.measure
        return measure(given.root, contender, rule, Path(output))
    rows = compare(given.cases, tuple(given.shape), given.rounds, given.note)
    write(results_path(given.output, "preparation"), COLUMNS, rows)
    shown = ("rule", "contender", "cases_per_s", "speed_ratio", "peak_mib", "above_start_mib")
    print("".join(f"{name:<34}" if name == "rule" else f"{name:>18}" for name in shown))
    for row in rows:
        print("".join(f"{row[name]:<34}" if name == "rule" else f"{row[name]!s:>18}" for name in shown))


if __name__ == "__main__":
    main()
