"""What `losses.py` compares: every loss, its plain form in torch, the matrix product in it, and other libraries' forms.

The plain form is written as one would without this project: one matrix product and torch's own cross-entropy wherever
that does. The bare matrix product is that of the loss's similarities, without what makes a loss of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

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
from contrastseg.networks._torchvision import import_torchvision

TEMPERATURE = 0.1
Form = Callable[..., Tensor]


class Comparison(NamedTuple):
    """A loss and its plain form, both functions of the same inputs, the first of which gets a gradient.

    Attributes:
        loss: Name of the function.
        size: The shape of its inputs, with N for the samples.
        samples: N.
        make: The inputs for a number of samples.
        ours: The loss.
        plain: In plain torch.
        product: The matrix product of its similarities alone; None where it has none.
    """

    loss: str
    size: str
    samples: int
    make: Callable[[int], tuple[Tensor, ...]]
    ours: Form
    plain: Form
    product: Form | None = None


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


def plain_dice(logits: Tensor, label: Tensor, power: int = 1, first: int = 1) -> Tensor:
    """With one-hot labels; `power` of the terms below, `first` of the classes."""
    probabilities = logits.softmax(1)
    target = F.one_hot(label, logits.shape[1]).movedim(-1, 1).float()
    axes = [0, *range(2, logits.ndim)]
    intersection, total = (probabilities * target).sum(axes), (probabilities**power + target).sum(axes)
    return 1 - ((2 * intersection + 1e-5) / (total + 1e-5))[first:].mean()


def plain_distances(predicted: Tensor, distances: Tensor) -> Tensor:
    """Unknown differences set to 0."""
    known = ~distances.isnan()
    return torch.where(known, predicted - distances, 0.0).square().sum() / known.sum()


def product(rows: Tensor, columns: Tensor) -> Tensor:
    """Every row with every column, whatever they are made into after that."""
    return (rows @ columns.mT).sum()


def product_within(vectors: Tensor, *_: Tensor) -> Tensor:
    """The same of vectors among each other."""
    return product(vectors, vectors)


def product_of_both(first: Tensor, second: Tensor) -> Tensor:
    """The same of two views taken together."""
    both = torch.cat([first, second])
    return product(both, both)


def comparisons(device: torch.device, part: int = 1) -> Iterator[Comparison]:
    """Every loss at a size as in training; `part` divides the sizes."""
    random = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, device=device)

    def whole(high: int, *shape: int) -> Tensor:
        return torch.randint(0, high, shape, generator=random, device=device)

    pairs, images, points = 1024 // part, max(2, 16 // part), 64

    def two(n: int) -> tuple[Tensor, ...]:
        return normal(n, 128), normal(n, 128)

    def nt_xent(first: Tensor, second: Tensor) -> Tensor:
        return info_nce.nt_xent_loss(first, second, TEMPERATURE)

    yield Comparison("nt_xent_loss", "N x 128", pairs, two, nt_xent, plain_nt_xent, product_of_both)
    queue = normal(4 * pairs, 128)
    yield Comparison(
        "info_nce_loss",
        f"N x 128, {len(queue)} negatives",
        pairs,
        lambda n: (*two(n), queue),
        lambda q, k, n: info_nce.info_nce_loss(q, k, n, TEMPERATURE),
        plain_info_nce,
        lambda q, k, n: product(q, n),
    )

    def paired(n: int) -> tuple[Tensor, ...]:
        labels = whole(8, n)
        same = labels[:, None] == labels
        return normal(n, n), same, ~same

    yield Comparison("paired_info_nce_loss", "N x N", pairs, paired, info_nce.paired_info_nce_loss, plain_paired)
    yield Comparison(
        "dense_info_nce_loss",
        f"N x {points} x 128",
        images,
        lambda n: (normal(n, points, 128), normal(n, points, 128), whole(points, n, points)),
        lambda q, k, m: info_nce.dense_info_nce_loss(q, k, m, TEMPERATURE),
        plain_dense,
        lambda q, k, m: product(q.flatten(0, 1), k.flatten(0, 1)),
    )
    yield Comparison(
        "region_contrast_loss",
        "N x 32 x 16 x 64",
        images,
        lambda n: (normal(n, 32, 16, 64), normal(n, 32, 16, 64), torch.ones(n, 32, dtype=torch.bool, device=device)),
        lambda a, b, v: region_contrast.region_contrast_loss(a, b, v, TEMPERATURE),
        plain_regions,
        lambda a, b, v: product(a.flatten(1, 2), b.flatten(1, 2)),
    )
    # The larger one is where rows are computed in blocks, so that memory is linear.
    for vectors in (pairs, 4 * pairs):
        yield Comparison(
            "supcon_loss",
            "N x 128, 8 labels",
            vectors,
            lambda n: (normal(n, 128), whole(8, n)),
            lambda e, c: supervised_contrast.supcon_loss(e, c, TEMPERATURE),
            plain_supcon,
            product_within,
        )
    for name, plain in (("batch_contrast_loss", plain_rows), ("feature_contrast_loss", plain_columns)):
        loss = getattr(voxel_contrast, name)
        similar = product if plain is plain_rows else lambda s, t: product(s.T, t.T)
        yield Comparison(name, "N x 128", pairs, two, lambda s, t, loss=loss: loss(s, t, TEMPERATURE), plain, similar)

    def patches(n: int) -> tuple[Tensor, ...]:
        shares = torch.rand(3, n, points, 3, generator=random, device=device) / 3
        return normal(n, points, 128), pdcr.divergence(shares, shares)

    yield Comparison(
        "dragsaw_loss",
        f"N x {points} x 128, 3 patch sizes",
        images,
        patches,
        lambda v, d: pdcr.dragsaw_loss(v, v, d, TEMPERATURE),
        plain_dragsaw,
        product_within,
    )
    yield Comparison(
        "negative_cosine_loss",
        "N x 128",
        pairs,
        two,
        alignment.negative_cosine_loss,
        lambda p, t: -F.cosine_similarity(p, t).mean(),
    )
    side = 256 // part

    def maps(n: int) -> tuple[Tensor, ...]:
        return normal(n, 4, side, side), normal(n, 4, side, side)

    def labelled(n: int) -> tuple[Tensor, ...]:
        return normal(n, 4, side, side), whole(4, n, side, side)

    def distances(n: int) -> tuple[Tensor, ...]:
        predicted, known = maps(n)
        return predicted, known.masked_fill(known > 1, torch.nan)

    of_maps: tuple[tuple[Form, Form, Callable[[int], tuple[Tensor, ...]]], ...] = (
        (segmentation.cross_entropy_loss, F.cross_entropy, labelled),
        (segmentation.soft_dice_loss, plain_dice, labelled),
        (segmentation.dice_ce_loss, lambda x, y: 0.5 * (F.cross_entropy(x, y) + plain_dice(x, y)), labelled),
        (consistency.softmax_mse_loss, lambda s, t: F.mse_loss(s.softmax(1), t.softmax(1)), maps),
        (signed_distance.distance_regression_loss, plain_distances, distances),
    )
    yield Comparison(
        "segmentation_loss",  # as SSL4MIS has it
        f"N x 4 x {side} x {side}",
        images,
        labelled,
        partial(segmentation.segmentation_loss, background=True, squared=True),
        lambda x, y: 0.5 * (F.cross_entropy(x, y) + plain_dice(x, y, power=2, first=0)),
    )
    for ours, plain, make in of_maps:
        yield Comparison(ours.__name__, f"N x 4 x {side} x {side}", images, make, ours, plain)


def monai_forms() -> dict[str, Form]:
    """MONAI's losses of the same formula, by the name of ours."""
    from monai.losses import ContrastiveLoss, DiceCELoss, DiceLoss

    contrastive = ContrastiveLoss(temperature=TEMPERATURE)
    asked = {"include_background": False, "to_onehot_y": True, "softmax": True, "batch": True}
    dice, both = DiceLoss(**asked), DiceCELoss(**asked, lambda_dice=0.5, lambda_ce=0.5)
    return {
        "nt_xent_loss": contrastive,
        "soft_dice_loss": lambda logits, label: dice(logits, label.unsqueeze(1)),
        "dice_ce_loss": lambda logits, label: both(logits, label.unsqueeze(1)),
    }


def lightly_forms() -> dict[str, Form]:
    """The same of lightly, which imports torchvision."""
    import_torchvision()
    from lightly.loss import NegativeCosineSimilarity, NTXentLoss

    return {"nt_xent_loss": NTXentLoss(temperature=TEMPERATURE), "negative_cosine_loss": NegativeCosineSimilarity()}


LIBRARIES = {"monai": monai_forms, "lightly": lightly_forms}
