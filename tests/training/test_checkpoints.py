"""Whole or not there; this run's or nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from contrastseg.errors import CheckpointError
from contrastseg.files import digest
from contrastseg.training import checkpoints

IDENTITY = {"seed": 0}


def content(step: int, identity: object = IDENTITY) -> dict[str, object]:
    return {
        "modules": {"w": torch.full((1000,), float(step))},
        "config": {},
        "identity": digest(identity),
        "step": step,
    }


def test_missing_truncated_and_foreign_files_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(CheckpointError, match="checkpoint not found") as error:
        checkpoints.load(path)
    assert str(path) in str(error.value)
    checkpoints.save(path, content(1))
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="cannot be read"):
            checkpoints.load(path)
    torch.save({"something": 1}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        checkpoints.load(path)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch /tmp/contrastseg-was-here",)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"modules": Malicious(), "config": {}}, path)
    with pytest.raises(CheckpointError):
        checkpoints.load(path)
    assert not Path("/tmp/contrastseg-was-here").exists()


def test_the_one_before_is_used_when_the_newest_is_damaged(tmp_path: Path) -> None:
    assert checkpoints.load_resumable(tmp_path, IDENTITY) is None
    checkpoints.save_resumable(tmp_path, content(1))
    checkpoints.save_resumable(tmp_path, content(2))
    found = checkpoints.load_resumable(tmp_path, IDENTITY)
    assert found is not None
    assert found["step"] == 2
    newest = tmp_path / checkpoints.RESUME
    newest.write_bytes(newest.read_bytes()[:-100])
    found = checkpoints.load_resumable(tmp_path, IDENTITY)
    assert found is not None
    assert found["step"] == 1
    checkpoints.discard_resumable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wherever_the_newest_is_damaged_the_one_before_is_used(tmp_path: Path) -> None:
    """Power cuts leave any length and blocks of zeros; disks flip bits."""
    checkpoints.save_resumable(tmp_path, content(1))
    checkpoints.save_resumable(tmp_path, content(2))
    newest, previous = tmp_path / checkpoints.RESUME, tmp_path / checkpoints.PREVIOUS
    whole, before = newest.read_bytes(), previous.read_bytes()
    size = len(whole)
    damages = [whole[: size * part // 20] for part in range(20)] + [whole[:-1], bytes(size)]
    damages += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, size, size // 150)]
    damages += [
        whole[: size // 2] + bytes(size - size // 2),
        whole[: size // 4] + bytes(512) + whole[size // 4 + 512 :],
    ]
    used = []
    for damage in damages:
        newest.write_bytes(damage)
        previous.write_bytes(before)
        found = checkpoints.load_resumable(tmp_path, IDENTITY)
        assert found is not None
        weights = found["modules"]["w"]
        assert torch.equal(weights, torch.full_like(weights, float(found["step"]))), "a damaged weight was believed"
        used.append(found["step"])
    assert used[:22] == [1] * 22
    assert used.count(2) < 40, "most bytes of a checkpoint are weights"


def test_a_damaged_checkpoint_does_not_push_out_the_whole_one(tmp_path: Path) -> None:
    checkpoints.save_resumable(tmp_path, content(1))
    checkpoints.save_resumable(tmp_path, content(2))
    (tmp_path / checkpoints.RESUME).write_bytes(b"")
    assert checkpoints.load_resumable(tmp_path, IDENTITY) is not None
    checkpoints.save_resumable(tmp_path, content(3))
    assert checkpoints.load(tmp_path / checkpoints.PREVIOUS)["step"] == 1
    assert checkpoints.load(tmp_path / checkpoints.RESUME)["step"] == 3


def test_another_runs_checkpoint_is_left_alone(tmp_path: Path) -> None:
    checkpoints.save_resumable(tmp_path, content(3, {"seed": 1}))
    assert checkpoints.load_resumable(tmp_path, IDENTITY) is None
