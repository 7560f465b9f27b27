"""Cases in common batches have the logits and labels that each has alone; the host is one batch behind the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contrastseg.data.files.geometry import Geometry, slices_first
from contrastseg.data.prepare.cases import Case
from contrastseg.errors import DataError, DeviceMemoryError
from contrastseg.networks.registry import build
from contrastseg.training import inference, prediction
from contrastseg.training.case_batches import infer_cases
from contrastseg.training.inference import case_logits, gaussian_weights, labels_of, window_starts
from contrastseg.training.settings import TrainingSettings
from tests.pretended import DEVICE, OnDevice, move, pretended

CPU = torch.device("cpu")
PHOTOGRAPHS = [(16, 16), (37, 20), (10, 50), (5, 7), (16, 16), (16, 16), (12, 16), (33, 32)]
VOLUMES = [(5, 20, 24), (1, 16, 16), (7, 9, 12), (3, 40, 16)]
BLOCKS = [(4, 16, 16), (9, 20, 18), (2, 9, 33), (4, 16, 16), (4, 12, 16)]
WORKS = [(2, PHOTOGRAPHS, (16, 16)), (2, VOLUMES, (16, 16)), (3, BLOCKS, (4, 16, 16))]


def case_of(number: int, shape: tuple[int, ...], channels: int = 2) -> Case:
    image = np.random.default_rng(number).normal(size=(channels, *shape)).astype(np.float16)
    return Case(f"c{number}", f"p{number}", None, image, None, Geometry(shape, None, "pixel", None, "png", shape))


def settings(window: tuple[int, ...], batch_size: int) -> TrainingSettings:
    return TrainingSettings(network={"name": "unet"}, steps=1, patch_size=list(window), batch_size=batch_size)


def infer(
    predictor: Callable[[Tensor], Tensor],
    cases: Any,
    window: tuple[int, ...],
    dims: int,
    batch_size: int = 4,
    device: torch.device = CPU,
    labels: bool = False,
) -> Iterator[tuple[Case, np.ndarray]]:
    training = settings(window, batch_size)
    where = {"scale": 0.5, "spatial_dims": dims, "training": training, "device": device}
    return infer_cases(predictor, cases, labels_only=lambda case: labels, **where)


def slowly(predictor: Callable[[Tensor], Tensor], image: np.ndarray, window: tuple[int, ...]) -> np.ndarray:
    """Logits of one image, window by window, in NumPy."""
    values = image.astype(np.float32) * 0.5
    missing = [max(0, n - size) for n, size in zip(window, image.shape[1:], strict=True)]
    padded = np.pad(values, [(0, 0), *((m // 2, m - m // 2) for m in missing)], mode="edge")
    starts = [window_starts(size, n, 0.5) for size, n in zip(padded.shape[1:], window, strict=True)]
    weights = gaussian_weights(window, CPU).numpy().astype(float)
    total, weight_sum = 0.0, np.zeros(padded.shape[1:])
    for corner in np.array(np.meshgrid(*starts, indexing="ij")).reshape(len(window), -1).T:
        place = tuple(slice(start, start + n) for start, n in zip(corner, window, strict=True))
        with torch.inference_mode():
            logits = predictor(torch.from_numpy(padded[(slice(None), *place)].copy())[None])[0].numpy()
        if np.isscalar(total):
            total = np.zeros((len(logits), *padded.shape[1:]))
        total[(slice(None), *place)] += logits * weights
        weight_sum[place] += weights
    inside = tuple(slice(m // 2, m // 2 + size) for m, size in zip(missing, image.shape[1:], strict=True))
    found: np.ndarray = (total / weight_sum)[(slice(None), *inside)]
    return found


def expected(predictor: Callable[[Tensor], Tensor], case: Case, window: tuple[int, ...]) -> np.ndarray:
    if case.image.ndim == len(window) + 1:
        return slowly(predictor, case.image, window)
    return np.stack([slowly(predictor, case.image[:, z], window) for z in range(case.image.shape[1])], axis=1)


def network(dims: int) -> torch.nn.Module:
    torch.manual_seed(0)
    strides = 2 if dims == 2 else [1, 2, 2]
    given = {"name": "unet", "channels": [4, 8], "strides": [strides], "convolutions": 1}
    return build(given, spatial_dims=dims, in_channels=2, num_classes=3).eval()


@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
@pytest.mark.parametrize(("dims", "shapes", "window"), WORKS)
def test_every_case_has_the_logits_it_has_alone(
    dims: int, shapes: list[tuple[int, ...]], window: tuple[int, ...], batch_size: int
) -> None:
    model = network(dims)
    cases = [case_of(number, shape) for number, shape in enumerate(shapes)]
    seen: list[int] = []

    def counting(images: Tensor) -> Tensor:
        seen.append(len(images))
        return model(images)

    found = list(infer(counting, iter(cases), window, dims, batch_size))
    labels = list(infer(model, iter(cases), window, dims, batch_size, labels=True))
    assert [case for case, _ in found] == [case for case, _ in labels] == cases
    for (case, logits), (_, label) in zip(found, labels, strict=True):
        wanted = expected(model, case, window)
        np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-5)
        alone = case_logits(model, case.image, 0.5, dims, window, CPU, batch_size=batch_size)
        np.testing.assert_allclose(logits, alone, rtol=1e-5, atol=1e-5)
        assert label.dtype == np.uint8
        assert np.array_equal(label, logits.argmax(0))
    assert len(seen) == -(-sum(seen) // batch_size)
    assert seen[:-1] == [batch_size] * (len(seen) - 1), "every batch but the last is full"


def test_a_pointwise_network_gives_the_same_bits_as_each_case_alone() -> None:
    def pointwise(images: Tensor) -> Tensor:
        return torch.cat([images, 2 * images + 1], dim=1)

    cases = [case_of(number, shape) for number, shape in enumerate(PHOTOGRAPHS)]
    for case, logits in infer(pointwise, cases, (16, 16), 2, 5):
        assert np.array_equal(logits, case_logits(pointwise, case.image, 0.5, 2, (16, 16), CPU, batch_size=5))


def test_a_cpu_takes_fewer_windows_at_once_where_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other batches, the same bits of what does not depend on them; a device takes as many as it is told."""

    def pointwise(images: Tensor) -> Tensor:
        seen.append(len(images))
        return torch.cat([images, 2 * images + 1], dim=1)

    cases = [case_of(number, (16, 16)) for number in range(9)]
    found, batches = {}, {}
    for voxels in (2**16, 4 * 16 * 16):
        monkeypatch.setattr(inference, "_CPU_VOXELS", voxels)
        seen: list[int] = []
        found[voxels] = [logits for _, logits in infer(pointwise, cases, (16, 16), 2, batch_size=8)]
        batches[voxels] = seen
    few, many = (found.pop(voxels) for voxels in (4 * 16 * 16, 2**16))
    assert list(batches.values()) == [[8, 1], [4, 4, 1]]
    assert [one.tobytes() for one in few] == [other.tobytes() for other in many]
    assert inference.windows_of_batch(8, (16, 16), CPU) == 4
    assert inference.windows_of_batch(8, (16, 64), CPU) == 2, "never one alone"
    assert inference.windows_of_batch(1, (16, 64), CPU) == 1
    assert inference.windows_of_batch(8, (16, 64), DEVICE) == 8


def test_cases_are_loaded_when_a_batch_wants_them() -> None:
    loaded: list[int] = []

    def cases() -> Iterator[Case]:
        for number in range(20):
            loaded.append(number)
            yield case_of(number, (16, 16))

    found = infer(network(2), cases(), (16, 16), 2, batch_size=3)
    assert not loaded
    ahead = []
    for done, _ in enumerate(found):
        ahead.append(len(loaded) - done)
    assert loaded == list(range(20))
    assert max(ahead) == 6, "those of the batch that is computed and of the one whose results are taken"


def test_a_faulty_case_comes_after_the_results_of_those_before_it() -> None:
    def cases() -> Iterator[Case]:
        yield from (case_of(number, (16, 16)) for number in range(5))
        raise DataError("the file is empty", case="c5")

    found: list[str] = []
    with pytest.raises(DataError, match="the file is empty"):
        found.extend(case.case for case, _ in infer(network(2), cases(), (16, 16), 2, batch_size=3))
    assert found == ["c0", "c1", "c2", "c3", "c4"]


@pytest.mark.parametrize("in_training", [False, True])
def test_a_full_device_names_the_cases_of_its_batch(in_training: bool) -> None:
    model, calls = network(2), []

    def full(images: Tensor) -> Tensor:
        calls.append(len(images))
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return model(images)

    cases = [case_of(number, (16, 16)) for number in range(9)]
    where = {"scale": 0.5, "spatial_dims": 2, "training": settings((16, 16), 3), "device": CPU}
    found: list[str] = []
    results = infer_cases(full, cases, labels_only=lambda case: True, in_training=in_training, **where)
    with pytest.raises(DeviceMemoryError, match="out of memory") as caught:
        found.extend(case.case for case, _ in results)
    assert found == ["c0", "c1", "c2"]
    assert caught.value.case == "c3, c4, c5"
    assert ("training.batch_size (3)" if in_training else "more memory") in str(caught.value.remedy)


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize(("dims", "shapes", "window"), WORKS)
def test_the_host_waits_for_results_one_batch_behind(
    dims: int, shapes: list[tuple[int, ...]], window: tuple[int, ...], labels: bool
) -> None:
    cases = [case_of(number, shape) for number, shape in enumerate(shapes)]
    model = network(dims)
    alone = [array for _, array in infer(model, cases, window, dims, labels=labels)]
    waits: list[int] = []
    with pretended() as counts:
        move(model)
        gaussian_weights(window, DEVICE)
        counts.clear()

        def watched(images: Tensor) -> Tensor:
            assert isinstance(images, OnDevice)
            waits.append(counts.waits.total())
            return model(images)

        found = [array for _, array in infer(watched, cases, window, dims, device=DEVICE, labels=labels)]
        assert set(counts.waits) == {("event", "sending.py:wait")}
        assert counts.waits.total() == len(cases), "a wait for each result, of a copy that was begun before"
        assert counts.sent == len(cases)
    assert waits[:2] == [0, 0], "the second batch is under way before the results of the first are waited for"
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_launches_go_by_batches_and_not_by_cases() -> None:
    """Eight windows a batch: an eighth of the network's launches, and of the rest a few for each case."""
    cases = [case_of(number, (16, 16)) for number in range(16)]
    model = network(2)
    with pretended() as counts:
        move(model)
        windows = torch.zeros(8, 2, 16, 16, device=DEVICE)
        counts.clear()
        with torch.inference_mode():
            model(windows)
        forward = counts.launches.total()
        counts.clear()
        list(infer(model, cases, (16, 16), 2, batch_size=8, device=DEVICE, labels=True))
        together = counts.launches.total()
        counts.clear()
        for case in cases:
            case_logits(model, case.image, 0.5, 2, (16, 16), DEVICE, batch_size=8)
        one_by_one = counts.launches.total()
    assert forward > 10
    assert together <= 2 * (forward + 2) + 16 * 4, "to float32, scaled, largest class, to uint8"
    assert one_by_one >= 16 * forward


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
@pytest.mark.parametrize("stretch", [1, 2])
def test_labels_found_on_the_device_are_those_of_the_logits(slice_axis: int, stretch: int) -> None:
    native = (8, 12, 20)
    cut = slices_first(native, slice_axis)
    shape = (cut[0], cut[1] * stretch, cut[2])
    grid = Geometry(native, None, "voxel", None, "nifti", shape, slice_axis=slice_axis)
    assert prediction._on_native_grid(grid) == (stretch == 1)
    logits = np.random.default_rng(0).integers(0, 3, size=(4, *shape)).astype(np.float32)  # with ties
    label = labels_of(torch.from_numpy(logits).movedim(1, 0), logits[:1], 2).numpy()
    if stretch == 1:
        assert np.array_equal(grid.to_native(label, 0), grid.label_from_logits(logits))


def test_small_images_are_continued_as_training_continues_them() -> None:
    case, seen = case_of(1, (8, 10)), []

    def network_that_looks(images: Tensor) -> Tensor:
        seen.append(images.clone())
        return images

    usual = settings((16, 16), 2)
    zeros = usual.model_copy(update={"augmentation": usual.augmentation.model_copy(update={"border": "zero"})})
    for training in (usual, zeros):
        where = {"scale": 0.5, "spatial_dims": 2, "training": training, "device": CPU}
        list(infer_cases(network_that_looks, [case], labels_only=lambda case: False, **where))
    image = torch.from_numpy(case.image.astype(np.float32)) * 0.5
    for window, mode in zip(seen, ("edge", "constant"), strict=True):
        padded = np.pad(image.numpy(), [(0, 0), (4, 4), (3, 3)], mode=mode)
        assert np.array_equal(window[0].numpy(), padded)
