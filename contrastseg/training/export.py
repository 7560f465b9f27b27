"""The encoder of a run as a file for others, with a card that says what it is and what it was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contrastseg.data.prepare.cases import DatasetJson
from contrastseg.errors import CheckpointError
from contrastseg.files import read_json, sha256, write_if_changed
from contrastseg.methods import registry
from contrastseg.networks.features import FeatureNetwork
from contrastseg.networks.weight_files import write_encoder
from contrastseg.training import checkpoints
from contrastseg.training.assembly import build_method, restore, stage_training
from contrastseg.training.settings import RunConfig
from contrastseg.training.starting_weights import CARD


def export_encoder(run: str | Path, output: str | Path) -> dict[str, Any]:
    """Write the encoder of a run's network as safetensors, and its card beside it as Markdown.

    Args:
        run: A run's folder, whose last checkpoint is taken, or a checkpoint.
        output: The file; its card has the ending `.md`.

    Returns:
        The card.

    Raises:
        CheckpointError: The checkpoint is missing or damaged, or the run has no network of this project.
        SuiteError: The network has no encoder.
    """
    checkpoint, output = Path(run), Path(output)
    if checkpoint.is_dir():
        checkpoint = checkpoint / "checkpoints" / "last.ckpt"
    if output.suffix != ".safetensors":
        raise CheckpointError(f"the file would be called {output.name}", remedy="let --output end with .safetensors")
    content = checkpoints.load(checkpoint)
    config = RunConfig.model_validate(content["config"])
    info = DatasetJson.model_validate(content["dataset"])
    if registry.get(config.method).engine is not None:
        raise CheckpointError(
            f"{config.method} trains a network of its own program", file=checkpoint, remedy="export another method"
        )
    method = build_method(config, len(info.channels), len(info.classes))
    restore(method, content["modules"], str(checkpoint))
    network = method.modules["network"]
    assert isinstance(network, FeatureNetwork)
    card = _card(config, info, checkpoint)
    tensors = write_encoder(network, output, {CARD: json.dumps(card)})
    card |= {"tensors": len(tensors), "sha256": sha256(output)}
    write_if_changed(output.with_suffix(".md"), _page(output.name, card))
    return card


def _card(config: RunConfig, info: DatasetJson, checkpoint: Path) -> dict[str, Any]:
    """What the file says of itself."""
    record_file = checkpoint.parent.parent / "run.json"
    record = read_json(record_file) if record_file.is_file() else {}
    training = stage_training(config)
    variant = "" if config.variant == "default" else f" ({config.variant})"
    source = f"contrastseg, {config.method}{variant}, stage {config.stage}, seed {config.seed}"
    split = record.get("split_name")
    drawn = f"split {split}, fold {config.fold}" if split else f"an unknown split, fold {config.fold}"
    pool = ", and a pool of further entries" if record.get("pool") else ""
    start = record.get("network_weights")
    before = f", after {start['data'] or 'data that is not stated'} (the file {start['file']})" if start else ""
    # Of what a pool or an earlier file held, a split says nothing.
    known = split and not pool and (start is None or start["test_cases"] == "stated")
    return {
        "source": source,
        "data": f"training patients of {info.title} ({drawn}; labels {config.labels}, draw {config.draw})"
        + pool
        + before,
        "split": {"hash": record["split_hash"], "fold": config.fold} if known else None,
        "licence_of_the_data": info.licence,
        "citation_of_the_data": info.citation,
        "paper_of_the_method": registry.get(config.method).card.paper,
        "network": training.network,
        "spatial_dims": config.spatial_dims,
        "channels": info.channels,
        "intensity": info.preparation.model_dump(mode="json").get("intensity"),
        "steps": record.get("steps"),
        "contrastseg": record.get("versions", {}).get("contrastseg"),
        "checkpoint_sha256": sha256(checkpoint),
    }


def _page(name: str, card: dict[str, Any]) -> str:
    rows = "\n".join(f"| {key.replace('_', ' ')} | {_shown(value)} |" for key, value in card.items())
    return (
        f"# {name}\n\nThe encoder of a network, as safetensors. The names are those of the network's own package.\n\n"
        f"| | |\n| --- | --- |\n{rows}\n\n"
        f"To start from it: `network: {{…, weights: {name}}}` with the network settings above.\n"
    )


def _shown(value: Any) -> str:
    return "unknown" if value is None else value if isinstance(value, str) else json.dumps(value)
