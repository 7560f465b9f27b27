"""What every loss costs beside its best form in plain torch, in the same run: the ratio of the two times is the result.

Each loss is computed forwards and backwards on the same tensors as the plain form, which is written below as one would
without this project: one matrix product and torch's own cross-entropy wherever that does. Their values must agree. The
two take turns, and the median of the rounds counts, so that a machine that is busy with other things slows both.

Example: `python benchmarks/speed/losses.py --rounds 30 --device cuda`
"""

from __future__ import annotations

import argparse
import csv
import importlib
import pkgutil
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

import contrastseg.losses
from contrastseg.files import atomic_path
from contrastseg.losses import (
    alignment,
    consistency,
    info_nce,
    pdcr,
    region_contrast,
    segmentation,
    signed_distance,
    supervised_contrast,
    voxel_contrast,
)
from contrastseg.training.records import hardware

RESULTS = Path(__file__).resolve().parent / "results"
COLUMNS = ("loss", "size", "ours_ms", "plain_ms", "ratio", "rounds", "device", "threads", "torch", "hardware", "note")
TEMPERATURE = 0.1


class Comparison(NamedTuple):
    """A loss and its plain form, both functions of `inputs`, the first of which gets a gradient."""

    loss: str
    size: str
    ours: Callable[..., Tensor]
    plain: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]


def cosine(rows: Tensor, columns: Tensor) -> Tensor:
    """Similarities over the temperature, plainly."""
    return F.normalize(rows, dim=-1) @ F.normalize(columns, dim=-1).mT / TEMPERATURE


def plain_nt_xent(first: Tensor, second: Tensor) -> Tensor:
    """NT-Xent over 2N."""
    both = torch.cat([first, second])
    similarity = cosine(both, both).fill_diagonal_(-torch.inf)
    return F.cross_entropy(similarity, torch.arange(len(both), device=both.device).roll(len(first)))


def plain_info_nce(queries: Tensor, keys: Tensor, queue: Tensor) -> Tensor:
    """InfoNCE against a queue, the positive in column 0."""
    positive = F.cosine_similarity(queries, keys).unsqueeze(1) / TEMPERATURE
    logits = torch.cat([positive, cosine(queries, queue)], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def plain_paired(similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """Each positive against the negatives."""
    others = similarity.masked_fill(~negatives, -torch.inf).logsumexp(1, keepdim=True)
    losses = torch.logaddexp(similarity, others) - similarity
    return ((losses * positives).sum(1) / positives.sum(1)).mean()


def plain_dense(queries: Tensor, keys: Tensor, matches: Tensor) -> Tensor:
    """Every key but the right one is a negative."""
    target = matches + torch.arange(len(keys), device=keys.device)[:, None] * keys.shape[1]
    return F.cross_entropy(cosine(queries.flatten(0, 1), keys.flatten(0, 1)), target.flatten())


def plain_regions(first: Tensor, second: Tensor, valid: Tensor) -> Tensor:
    """All points of the own region against all points."""
    similarity = cosine(first.flatten(1, 2), second.flatten(1, 2))
    region = torch.arange(first.shape[1], device=first.device).repeat_interleave(first.shape[2])
    own = similarity.masked_fill(region[:, None] != region, -torch.inf).logsumexp(-1)
    return (similarity.logsumexp(-1) - own).mean()


def plain_supcon(embeddings: Tensor, labels: Tensor) -> Tensor:
    """With a mask of the positives."""
    similarity = cosine(embeddings, embeddings)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positives = (labels[:, None] == labels) & ~itself
    shares = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    return -((shares * positives).sum(1) / positives.sum(1)).mean()


def plain_rows(student: Tensor, teacher: Tensor) -> Tensor:
    """Each row to find its own."""
    return F.cross_entropy(cosine(student, teacher), torch.arange(len(student), device=student.device))


def plain_columns(student: Tensor, teacher: Tensor) -> Tensor:
    """Each centred column to find its own."""
    return plain_rows((student - student.mean(0)).T, (teacher - teacher.mean(0)).T)


def plain_dragsaw(features: Tensor, divergences: Tensor) -> Tensor:
    """Its formula."""
    similarity = cosine(features, features)
    similarity = similarity - similarity.max()
    return ((divergences * similarity).logsumexp(-1, keepdim=True) - (1 - divergences) * similarity).mean()


def plain_dice(logits: Tensor, label: Tensor) -> Tensor:
    """With one-hot labels."""
    probabilities = logits.softmax(1)
    target = F.one_hot(label, logits.shape[1]).movedim(-1, 1).float()
    axes = [0, *range(2, logits.ndim)]
    intersection, total = (probabilities * target).sum(axes), (probabilities + target).sum(axes)
    return 1 - ((2 * intersection + 1e-5) / (total + 1e-5))[1:].mean()


def plain_distances(predicted: Tensor, distances: Tensor) -> Tensor:
    """Unknown differences set to 0."""
    known = ~distances.isnan()
    return torch.where(known, predicted - distances, 0.0).square().sum() / known.sum()


def comparisons(device: torch.device, part: int = 1) -> Iterator[Comparison]:
    """Every loss at a size as in training; `part` divides the sizes."""
    random = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, device=device)

    def whole(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=random, device=device)

    pairs, images, points = 1024 // part, max(2, 16 // part), 64
    first, second, labels = normal(pairs, 128), normal(pairs, 128), whole(8, pairs)
    vectors = f"{pairs} x 128"
    yield Comparison(
        "nt_xent_loss", vectors, lambda a, b: info_nce.nt_xent_loss(a, b, TEMPERATURE), plain_nt_xent, (first, second)
    )
    queue = normal(4 * pairs, 128)
    yield Comparison(
        "info_nce_loss",
        f"{vectors}, {len(queue)} negatives",
        lambda q, k, n: info_nce.info_nce_loss(q, k, n, TEMPERATURE),
        plain_info_nce,
        (first, second, queue),
    )
    same = labels[:, None] == labels
    paired = (normal(pairs, pairs), same, ~same)
    yield Comparison("paired_info_nce_loss", f"{pairs} x {pairs}", info_nce.paired_info_nce_loss, plain_paired, paired)
    dense = (normal(images, points, 128), normal(images, points, 128), whole(points, images, points))
    yield Comparison(
        "dense_info_nce_loss",
        f"{images} x {points} x 128",
        lambda q, k, m: info_nce.dense_info_nce_loss(q, k, m, TEMPERATURE),
        plain_dense,
        dense,
    )
    regions = (*(normal(images, 32, 16, 64) for _ in range(2)), torch.ones(images, 32, dtype=torch.bool, device=device))
    yield Comparison(
        "region_contrast_loss",
        f"{images} x 32 x 16 x 64",
        lambda a, b, v: region_contrast.region_contrast_loss(a, b, v, TEMPERATURE),
        plain_regions,
        regions,
    )
    yield Comparison(
        "supcon_loss",
        f"{vectors}, 8 labels",
        lambda e, c: supervised_contrast.supcon_loss(e, c, TEMPERATURE),
        plain_supcon,
        (first, labels),
    )
    for name, plain in (("batch_contrast_loss", plain_rows), ("feature_contrast_loss", plain_columns)):
        loss = getattr(voxel_contrast, name)
        yield Comparison(name, vectors, lambda s, t, loss=loss: loss(s, t, TEMPERATURE), plain, (first, second))
    shares = torch.rand(3, images, points, 3, generator=random, device=device) / 3
    yield Comparison(
        "dragsaw_loss",
        f"3 x {images} x {points} x 128",
        lambda v, d: pdcr.dragsaw_loss(v, v, d, TEMPERATURE),
        plain_dragsaw,
        (dense[0], pdcr.divergence(shares, shares)),
    )
    yield Comparison(
        "negative_cosine_loss",
        vectors,
        alignment.negative_cosine_loss,
        lambda p, t: -F.cosine_similarity(p, t).mean(),
        (first, second),
    )
    side = 256 // part
    maps, others, label = normal(images, 4, side, side), normal(images, 4, side, side), whole(4, images, side, side)
    size = f"{images} x 4 x {side} x {side}"
    yield Comparison("cross_entropy_loss", size, segmentation.cross_entropy_loss, F.cross_entropy, (maps, label))
    yield Comparison("soft_dice_loss", size, segmentation.soft_dice_loss, plain_dice, (maps, label))
    yield Comparison(
        "dice_ce_loss",
        size,
        segmentation.dice_ce_loss,
        lambda x, y: 0.5 * (F.cross_entropy(x, y) + plain_dice(x, y)),
        (maps, label),
    )
    yield Comparison(
        "softmax_mse_loss",
        size,
        consistency.softmax_mse_loss,
        lambda s, t: F.mse_loss(s.softmax(1), t.softmax(1)),
        (maps, others),
    )
    distances = others.masked_fill(others > 1, torch.nan)
    loss = signed_distance.distance_regression_loss
    yield Comparison("distance_regression_loss", size, loss, plain_distances, (maps, distances))


def all_losses() -> set[str]:
    """Names of the losses there are: the functions of the package whose name ends so."""
    names: set[str] = set()
    for found in pkgutil.iter_modules(contrastseg.losses.__path__):
        module = importlib.import_module(f"contrastseg.losses.{found.name}")
        names |= {name for name in vars(module) if name.endswith("_loss") and not name.startswith("_")}
    return names


def seconds(function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> float:
    """Time of one pass forwards and backwards."""
    synchronise: Any = torch.cuda.synchronize if inputs[0].is_cuda else lambda: None
    free = inputs[0].detach().requires_grad_()
    synchronise()
    started = time.perf_counter()
    function(free, *inputs[1:]).backward()
    synchronise()
    return time.perf_counter() - started


def measure(comparison: Comparison, rounds: int) -> tuple[float, float]:
    """Median seconds of ours and of the plain form, after two rounds that do not count."""
    expected = comparison.plain(*comparison.inputs)
    torch.testing.assert_close(comparison.ours(*comparison.inputs), expected, rtol=1e-3, atol=1e-4)
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 2):
        times.append((seconds(comparison.ours, comparison.inputs), seconds(comparison.plain, comparison.inputs)))
    ours, plain = (statistics.median(column) for column in zip(*times[2:], strict=True))
    return ours, plain


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--part", type=int, default=1, help="divides the sizes, for a quick look")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    machine = hardware(device)
    name = str(machine["device"] if given.device == "cuda" else f"{machine['cpu']} {machine['cpu_count']}cores")
    rows: list[dict[str, Any]] = []
    for comparison in comparisons(device, given.part):
        ours, plain = measure(comparison, given.rounds)
        values = (comparison.loss, comparison.size, f"{1e3 * ours:.3f}", f"{1e3 * plain:.3f}", f"{ours / plain:.2f}")
        versions = (given.rounds, given.device, given.threads, torch.__version__, name, given.note)
        rows.append(dict(zip(COLUMNS, (*values, *versions), strict=True)))
        print(f"{values[0]:<26}{values[1]:<28}ours {values[2]:>9} ms   plain {values[3]:>9} ms   ratio {values[4]}")
    for missing in sorted(all_losses() - {row["loss"] for row in rows}):
        print(f"{missing:<26}not measured")
    given.output.mkdir(parents=True, exist_ok=True)
    described = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")
    path = given.output / f"losses-{given.device}-{described}.csv"
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
