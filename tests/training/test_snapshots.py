"""Checkpoints along a run: part of what it is, whole or not there, the same bytes after a kill."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import TrainingError
from contrastseg.evaluation.scoring.collect import rows_of
from contrastseg.evaluation.scoring.predictions import predicted_snapshots
from contrastseg.evaluation.scoring.scoring import score_folder, score_snapshots, write_scores
from contrastseg.planning.configuration import run_config
from contrastseg.suite import parse_suite
from contrastseg.training import checkpoints
from contrastseg.training.prediction import predict_prepared, predict_snapshots
from contrastseg.training.run import train
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.snapshots import MOST_SNAPSHOTS, snapshot_names, snapshots_due

TRAINING = {"steps": 6, "snapshot_every": 2, "checkpoint_every": 3}


def stored(run: Path) -> dict[str, bytes]:
    """The files of weights of a run."""
    return {path.name: path.read_bytes() for path in (run / "checkpoints").glob("*.ckpt")}


def interrupt_at(step: int) -> Any:
    """A callback that ends a training after so many steps."""

    def stopped(done: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return stopped


def test_snapshots_lie_before_the_end_and_their_number_is_bounded() -> None:
    assert snapshots_due(TrainingSettings(steps=10)) == {}
    assert snapshots_due(TrainingSettings(steps=10, snapshot_every=5)) == {5: "step5"}
    assert snapshots_due(TrainingSettings(steps=11, snapshot_every=5)) == {5: "step5", 10: "step10"}
    steps = MOST_SNAPSHOTS + 1
    assert len(snapshot_names(TrainingSettings(steps=steps, snapshot_every=1))) == MOST_SNAPSHOTS
    with pytest.raises(TrainingError, match=f"{steps} snapshots") as error:
        snapshot_names(TrainingSettings(steps=steps + 1, snapshot_every=1))
    assert error.value.remedy == "set snapshot_every to 2 or more"
    with pytest.raises(TrainingError, match=f"{steps} snapshots of {steps + 1} epochs"):
        snapshot_names(TrainingSettings(epochs=steps + 1, snapshot_every=1))


def test_a_run_in_epochs_keeps_snapshots_by_epochs(phantoms: dict[int, Any], tmp_path: Path) -> None:
    """Two labelled cases of some slices: an epoch has as many steps as whole batches of them."""
    training = {"steps": None, "epochs": 3, "snapshot_every": 1}
    record = train(phantoms[2].config("supervised", training=training), tmp_path)
    steps = {path.stem: checkpoints.load(path)["step"] for path in (tmp_path / "checkpoints").glob("*.ckpt")}
    each = steps["last"] // 3
    assert each >= 1
    assert steps == {"epoch1": each, "epoch2": 2 * each, "last": 3 * each}
    assert record["steps"] == 3 * each
    _check_predictions_and_scores(phantoms[2], tmp_path)


def _check_predictions_and_scores(data: Any, run: Path) -> None:
    """Those of all snapshots in one go are those of each by itself."""
    files = [run / "checkpoints" / f"{name}.ckpt" for name in ("epoch1", "epoch2")]
    patients = Split.from_file(data.split).test()
    seen: list[tuple[int, int]] = []
    index = predict_snapshots(files, data.data, patients, run / "all", on_case=lambda *at: seen.append(at))
    assert predicted_snapshots(index.parent) == ["epoch1", "epoch2"]
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    scores = score_snapshots(index.parent, data.data, ["dice"])
    write_scores(scores, run / "snapshots.csv")
    for file in files:
        alone = predict_prepared(file, data.data, patients, run / "alone" / file.stem).parent
        together = index.parent / file.stem
        assert {path.name: path.read_bytes() for path in alone.iterdir()} == {
            path.name: path.read_bytes() for path in together.iterdir()
        }
        write_scores(score_folder(alone, data.data, ["dice"]), run / "alone.csv")
        write_scores(rows_of(file.stem, [run / "snapshots.csv"]), run / "rows.csv")
        assert (run / "rows.csv").read_bytes() == (run / "alone.csv").read_bytes()


def test_a_run_killed_among_its_snapshots_ends_with_the_same_bytes(phantoms: dict[int, Any], tmp_path: Path) -> None:
    config = phantoms[2].config("supervised", training=TRAINING)
    train(config, tmp_path / "whole")
    whole = stored(tmp_path / "whole")
    assert sorted(whole) == ["last.ckpt", "step2.ckpt", "step4.ckpt"]
    assert len(set(whole.values())) == 3, "three moments of a training have three sets of weights"
    # Killed after step4, resumed after step3: step2 is kept as it is, step4 is made again.
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "killed", on_step=interrupt_at(5))
    seen: list[int] = []
    train(config, tmp_path / "killed", on_step=seen.append)
    assert seen == [3, 4, 5, 6]
    assert stored(tmp_path / "killed") == whole
    # A snapshot that a power cut left half is not taken for whole: the run starts again.
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "killed", on_step=interrupt_at(5))
    half = tmp_path / "killed" / "checkpoints" / "step2.ckpt"
    half.write_bytes(half.read_bytes()[:-200])
    seen.clear()
    train(config, tmp_path / "killed", on_step=seen.append)
    assert seen[0] == 0
    assert stored(tmp_path / "killed") == whole


def test_snapshots_of_a_run_before_are_removed(phantoms: dict[int, Any], tmp_path: Path) -> None:
    train(phantoms[2].config("supervised", training=TRAINING), tmp_path)
    train(phantoms[2].config("supervised", training={**TRAINING, "snapshot_every": 5}), tmp_path)
    assert sorted(stored(tmp_path)) == ["last.ckpt", "step5.ckpt"]
    train(phantoms[2].config("simclr", stage="pretrain", training=TRAINING), tmp_path)
    assert sorted(stored(tmp_path)) == ["last.ckpt"], "nothing is predicted with pre-trained weights"


def test_a_snapshot_of_another_run_is_no_snapshot_of_this_one(tmp_path: Path) -> None:
    content = {"modules": {}, "config": {}, "step": 4}
    mine, other = {"seed": 0}, {"seed": 1}
    checkpoints.save_resumable(tmp_path, {**content, "identity": checkpoints.digest(mine)})
    checkpoints.save_snapshot(tmp_path, "step2", content, other)
    assert checkpoints.load_resumable(tmp_path, mine, {2: "step2"}) is None
    assert checkpoints.load_resumable(tmp_path, mine, {5: "step5"}) is not None, "it is due later"
    checkpoints.save_snapshot(tmp_path, "step2", content, mine)
    assert checkpoints.load_resumable(tmp_path, mine, {2: "step2"}) is not None


@contextmanager
def opened_files() -> Iterator[set[Path]]:
    """The files that this process opens inside the block."""
    files: set[Path] = set()
    watching = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[0], str | Path):
            files.add(Path(arguments[0]).absolute())

    sys.addaudithook(note)  # it stays for the life of the process
    try:
        yield files
    finally:
        watching = False


def test_no_test_file_is_opened_by_a_training_with_the_oracle_asked_for(
    phantoms: dict[int, Any], tmp_path: Path
) -> None:
    suite, _ = parse_suite(
        {
            "name": "oracle",
            "datasets": [{"name": "organs", "dataset": "phantom_organs"}],
            "methods": ["supervised"],
            "checkpoints": ["last", "best_val", "best_test"],
            "training": {"steps": 6, "snapshot_every": 2, "validate_every": 2, "checkpoint_every": 3}
            | {"patch_size": [8, 32, 32]},
        }
    )
    wanted = run_config(suite, "organs", "supervised", "default")["training"]
    asked = {name: wanted[name] for name in ("steps", "snapshot_every", "validate_every", "checkpoint_every")}
    config = phantoms[3].config("supervised", training=asked)
    dataset, split = PreparedDataset(phantoms[3].data), Split.from_file(phantoms[3].split)
    with opened_files() as files:
        train(config, tmp_path)

    def opened(patients: list[str]) -> set[str]:
        cases = dataset.cases_of(patients)
        return {case for case in cases for file in files if case in file.parts or file.name.startswith(f"{case}.")}

    assert sorted(stored(tmp_path)) == ["best_val.ckpt", "last.ckpt", "step2.ckpt", "step4.ckpt"]
    assert opened(split.labelled("n2")), "the watch sees what training opens"
    assert opened(split.val())
    assert not opened(split.test())
