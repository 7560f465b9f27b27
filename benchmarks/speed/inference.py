"""What a volume costs by sliding windows, beside MONAI's and nnU-Net's, with the same weights in one run.

All run the same network over the same image with the same window, overlap and Gaussian weights, from an array to an
array of logits; ours and MONAI's put the same number of windows into a batch, nnU-Net's predictor one, which is its
way. No mirroring. `bare` is the network alone on as many random windows: the limit. Contenders take turns, and the
median of the rounds counts; `share_outside` is the part of the time that the bare network does not explain.

Windows are counted as they reach the network. The sizes here are such that all place the same ones: elsewhere MONAI
moves the last window of an axis back, where ours and nnU-Net's spread all evenly. So the logits are compared too: to
MONAI's, and to nnU-Net's, which are summed in half precision. The script stops where they do not agree.

Example: `OMP_NUM_THREADS=1 python benchmarks/speed/inference.py --rounds 5`
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from _results import RESULTS, clock, described, results_path, write
from torch import Tensor, nn

import contrastseg
from contrastseg.networks.registry import build
from contrastseg.training.inference import case_logits, gaussian_weights

COLUMNS = (
    *("work", "contender", "version", "windows", "rounds", "volume_s", "window_ms", "ours_per_volume"),
    *("ours_per_window", "share_outside", "largest_difference", "same_label", "image", "window", "overlap"),
    *("batch_size", "classes", "channels", "device", "threads", "torch", "hardware", "note"),
)
OVERLAP = 0.5
# How far logits may be from ours, as a part of their spread, and the least share of voxels with our label. nnU-Net's
# weights fall much lower at a window's corners and, like its sums, are in half precision.
AGREEMENT = {"monai": (1e-4, 0.9999), "nnunetv2": (np.inf, 0.97)}
Contender = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Work:
    """An image (C, *spatial), a window, which is a slice's where it has an axis less, and a network."""

    image: tuple[int, ...]
    window: tuple[int, ...]
    batch_size: int
    classes: int
    channels: tuple[int, ...]

    @property
    def slices(self) -> bool:
        """Whether a volume goes through a 2D network."""
        return len(self.window) == len(self.image) - 2


WORKS = {
    "acdc_2d": Work((1, 10, 256, 256), (128, 128), 8, 4, (16, 32, 64, 128, 256)),
    "la_3d": Work((1, 60, 112, 112), (40, 56, 56), 4, 2, (8, 16, 32, 64)),
    "ct_3d": Work((1, 48, 128, 128), (32, 64, 64), 4, 14, (8, 16, 32, 64)),
}


class Counting(nn.Module):
    """A network that counts the windows it has seen."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.windows = 0

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *window) to (B, K, *window)."""
        self.windows += len(images)
        logits: Tensor = self.network(images)
        return logits


def resized(work: Work, part: int) -> Work:
    """The same windows at a `part`-th of the size, for a quick look; axes keep what the network can halve."""
    window = tuple(max(16, n // part // 16 * 16) if part > 1 else n for n in work.window)
    spatial = work.image[1:]
    kept = spatial[: len(spatial) - len(window)]
    # As many half windows along an axis as before.
    steps = [round((size - n) / (n / 2)) for size, n in zip(spatial[len(kept) :], work.window, strict=True)]
    grown = tuple(n + count * n // 2 for count, n in zip(steps, window, strict=True))
    return replace(work, image=(work.image[0], *(max(1, n // part) for n in kept), *grown), window=window)


def network_of(work: Work, device: torch.device) -> Counting:
    """The network with weights that give every class some voxels: its logits' means are taken off its last bias."""
    torch.manual_seed(0)
    settings = {"name": "unet", "channels": list(work.channels)}
    network = build(settings, spatial_dims=len(work.window), in_channels=work.image[0], num_classes=work.classes)
    network = network.to(device).eval()
    last = [module for module in network.modules() if getattr(module, "bias", None) is not None][-1]
    with torch.inference_mode():
        logits = network(torch.randn(2, work.image[0], *work.window, device=device))
    with torch.no_grad():
        last.bias -= logits.mean([0, *range(2, logits.ndim)]).clone()
    return Counting(network)


def ours(work: Work, network: Counting, device: torch.device) -> Contender:
    """`case_logits`, as `predict` calls it."""
    dims = len(work.window)
    return lambda image: case_logits(network, image, 1.0, dims, work.window, device, OVERLAP, work.batch_size)


def of_monai(work: Work, network: Counting, device: torch.device, compared: bool) -> Contender:
    """MONAI's sliding windows, slices as a batch; compared with our weights, whose least differs a little from its."""
    from monai.inferers.utils import sliding_window_inference

    same: dict[str, Any] = {"overlap": OVERLAP, "mode": "gaussian", "sigma_scale": 0.125}
    if compared:
        same["roi_weight_map"] = gaussian_weights(tuple(work.window), device)[None, None]

    @torch.inference_mode()
    def run(image: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(image).to(device)
        images = tensor.movedim(1, 0) if work.slices else tensor[None]
        logits = sliding_window_inference(images, work.window, work.batch_size, network, **same)
        array: np.ndarray = (logits.movedim(0, 1) if work.slices else logits[0]).cpu().numpy()
        return array

    return run


def of_nnunet(work: Work, network: Counting, device: torch.device, compared: bool) -> Contender:
    """nnU-Net's predictor around the same network; of its plans it asks for the patch and the number of classes."""
    settings = {"tile_step_size": 1 - OVERLAP, "use_gaussian": True, "use_mirroring": False, "allow_tqdm": False}
    with contextlib.redirect_stdout(io.StringIO()):  # it says which variables are not set
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        predictor = nnUNetPredictor(**settings, perform_everything_on_device=device.type == "cuda", device=device)
    labels = SimpleNamespace(num_segmentation_heads=work.classes)
    plans = SimpleNamespace(get_label_manager=lambda _: labels)
    predictor.manual_initialization(network, plans, SimpleNamespace(patch_size=work.window), None, {}, "", None)

    def run(image: np.ndarray) -> np.ndarray:
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(image))
        array: np.ndarray = logits.cpu().numpy()
        return array

    return run


def bare(work: Work, network: Counting, device: torch.device, windows: int) -> Contender:
    """The network on that many random windows; its logits stay where they are."""
    batch = torch.randn(work.batch_size, work.image[0], *work.window, device=device)

    @torch.inference_mode()
    def run(image: np.ndarray) -> np.ndarray:
        for first in range(0, windows, work.batch_size):
            network(batch[: windows - first])
        return image

    return run


OTHERS = {"monai": of_monai, "nnunetv2": of_nnunet}


def versions() -> dict[str, str]:
    """Ours and those of the contenders that are here; a line says which are not."""
    found = {"contrastseg": contrastseg.__version__}
    for name in OTHERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name}: not installed")
    return found


def difference(name: str, work: Work, expected: np.ndarray, found: np.ndarray) -> dict[str, str]:
    """How far a contender's logits are from ours: the largest difference over their spread, the share of equal labels.

    A quarter of a window along the border is left out: in a corner, which one window sees by its own corner, half
    precision has lost nnU-Net's logits.

    Raises:
        SystemExit: Too far for the same windows and weights.
    """
    inside = (..., *(slice(n // 4, -(n // 4)) for n in work.window))
    found, expected = found[inside], expected[inside]
    largest = float(np.abs(found.astype(np.float32) - expected).max() / expected.std())
    same = float((found.argmax(0) == expected.argmax(0)).mean())
    most = float(np.bincount(expected.argmax(0).ravel()).max() / expected[0].size)
    allowed, least = AGREEMENT[name]
    if not (largest <= allowed and same >= least and most < 0.95):
        raise SystemExit(
            f"{name} and contrastseg do not agree: labels on {same:.2%} (at least {least:.2%}), logits to "
            f"{largest:.2g} of their spread (at most {allowed:g}); the commonest label has {most:.0%} (below 95 %)"
        )
    return {"largest_difference": f"{largest:.1e}", "same_label": f"{same:.6f}"}


def seconds(run: Contender, image: np.ndarray, device: torch.device) -> tuple[float, np.ndarray]:
    """Time of one volume, and the logits."""
    now = clock(device.type)
    started = now()
    logits = run(image)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return now() - started, logits


def measure(name: str, work: Work, rounds: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """A row per contender; a round before the others is not counted, but its values and windows are."""
    network = network_of(work, device)
    image = np.random.default_rng(0).standard_normal(work.image, dtype=np.float32)
    known, limit = versions(), "bare"
    others = [other for other in known if other in OTHERS]
    runs = {"contrastseg": ours(work, network, device)}
    expected = runs["contrastseg"](image)
    windows, compared = {"contrastseg": network.windows, limit: network.windows}, {}
    for other in others:
        network.windows = 0
        compared[other] = difference(other, work, expected, OTHERS[other](work, network, device, True)(image))
        windows[other] = network.windows
        runs[other] = OTHERS[other](work, network, device, False)
    runs[limit] = bare(work, network, device, windows[limit])
    taken: dict[str, list[float]] = {contender: [] for contender in runs}
    for _ in range(rounds):
        for contender, run in runs.items():
            taken[contender].append(seconds(run, image, device)[0])
    volume = {contender: statistics.median(each) for contender, each in taken.items()}
    window = {contender: volume[contender] / windows[contender] for contender in runs}
    for contender in runs:
        yield {
            **{"work": name, "contender": contender, "version": known.get(contender, ""), "rounds": rounds},
            **{"windows": windows[contender], "volume_s": f"{volume[contender]:.4f}"},
            "window_ms": f"{1e3 * window[contender]:.3f}",
            "ours_per_volume": f"{volume['contrastseg'] / volume[contender]:.3f}",
            "ours_per_window": f"{window['contrastseg'] / window[contender]:.3f}",
            "share_outside": f"{1 - window['bare'] / window[contender]:.3f}",
            **compared.get(contender, {}),
            **{"image": "x".join(map(str, work.image)), "window": "x".join(map(str, work.window))},
            **{"overlap": OVERLAP, "batch_size": 1 if contender == "nnunetv2" else work.batch_size},
            **{"classes": work.classes, "channels": "-".join(map(str, work.channels))},
        }


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="*", default=list(WORKS), choices=WORKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", type=int, default=1, help="divides the sizes, for a quick look")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    shown = ("work", "contender", "windows", "volume_s", "window_ms", "ours_per_window", "share_outside", "same_label")
    print("".join(f"{name:>17}" for name in shown))
    rows = []
    for name in given.work:
        for row in measure(name, resized(WORKS[name], given.part), given.rounds, torch.device(given.device)):
            row |= {"device": given.device, "threads": given.threads, "torch": torch.__version__}
            rows.append({**row, "hardware": described(), "note": given.note})
            print("".join(f"{row.get(name, '')!s:>17}" for name in shown), flush=True)
    file = results_path(given.output, "inference", given.device)
    write(file, COLUMNS, rows)
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
