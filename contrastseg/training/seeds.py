"""Random numbers as pure functions of named axes: no generator lives longer than the call that uses it."""

from __future__ import annotations

import hashlib

import torch


def stream_seed(seed: int, *names: str | int) -> int:
    """Derive a 63-bit seed for a named stream of a run, e.g. `stream_seed(seed, "labelled", step)`."""
    text = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a generator at the start of a named stream. Everything but noise fields is drawn on the CPU."""
    result = torch.Generator(device=device)
    result.manual_seed(stream_seed(seed, *names))
    return result
