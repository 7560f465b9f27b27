"""Steps in the form that a GPU records, with compiled networks, on a CPU: the numbers of steps taken as they come.

A rehearsal notes operations as torch dispatches them, and compiled code does not pass there. So what a GPU would record
is called again here: on the recorded batch's memory, with the values and the learning rate that were filled in, and
with the number of the step as it was at the recording.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrastseg.training import checkpoints, loop, run
from contrastseg.training.recorded import WARM_UP, Recording
from contrastseg.training.static_inputs import HostValues

Weights = dict[str, torch.Tensor]
STEPS = 7


class CalledAgain:
    """A `Recorder` whose replay calls the work, with all that Python computed as it was at the recording."""

    own_generator = False

    def __init__(self) -> None:
        self.replays = 0

    def run(self, work: Callable[[], None]) -> None:
        work()

    @contextmanager
    def watching(self) -> Iterator[list[str]]:
        yield []

    def record(self, work: Any) -> Callable[[], None]:
        steps = work.__self__
        at_recording = steps._step

        def replay() -> None:
            self.replays += 1
            steps._step = at_recording
            with steps._host.recording():
                work()

        return replay


def trained(config: Any, folder: Path, recording: Recording) -> tuple[Weights, list[float], int]:
    """The weights of a run, the loss of every step, and how many graphs were compiled for it."""
    from torch._dynamo.utils import counters  # here, because it takes seconds, and the test is a long one

    torch._dynamo.reset()
    counters.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "planned", lambda *rest: recording)
        patch.setattr(loop, "fuses", lambda *rest: True)  # the optimiser of a GPU, recorded or not
        run.train(config, folder)
    losses = np.genfromtxt(folder / "log.csv", delimiter=",", names=True)["loss"].tolist()
    weights = checkpoints.load(folder / "checkpoints" / "last.ckpt")["modules"]
    return weights, losses, counters["stats"]["unique_graphs"]


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here, which torch.compile needs on a CPU")
@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "stage"), [("supervised", "train"), ("mean_teacher", "train"), ("moco", "pretrain")]
)
def test_compiled_steps_have_the_same_numbers_whether_recorded_or_not(
    phantoms: dict[int, Any], tmp_path: Path, method: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compilation adds in another order, so losses are those without it to 1e-4; weights under AdamW say less.

    Where a gradient is nothing but rounding, AdamW takes a whole step all the same.
    """

    def configured(mode: str) -> Any:
        return phantoms[2].config(method, stage=stage, training={"steps": STEPS, "compile": mode})

    _, plain, graphs = trained(configured("off"), tmp_path / "plain", Recording(reason="not asked for"))
    assert graphs == 0
    unrecorded = Recording(reason="not asked for")
    weights, losses, graphs = trained(configured("default"), tmp_path / "compiled", unrecorded)
    assert graphs > 0
    assert losses == pytest.approx(plain, rel=1e-4)
    recorder = CalledAgain()
    recording = Recording(recorder)
    again, losses_again, graphs_again = trained(configured("default"), tmp_path / "recorded", recording)
    assert (recording.outcome, recorder.replays) == (None, STEPS - WARM_UP)
    assert (losses_again, graphs_again) == (losses, graphs)
    for name, value in weights.items():
        assert torch.equal(again[name], value), f"{name}: off by up to {(again[name] - value).abs().max()}"
    if method == "mean_teacher":  # the weight of its second term rises; without that the numbers are others
        monkeypatch.setattr(HostValues, "refill", lambda self, step: None)
        _, frozen, _ = trained(configured("default"), tmp_path / "frozen", Recording(CalledAgain()))
        assert frozen[:WARM_UP] == losses[:WARM_UP]
        assert frozen[WARM_UP] != losses[WARM_UP]
