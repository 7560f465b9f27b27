"""Runs at the same time hold different devices, and give them back."""

from __future__ import annotations

import json
import os

import pytest

from contrastseg.training import devices


@pytest.mark.long
def test_four_runs_at_once_hold_four_devices(workspace):
    training = {"steps": 250, "batch_size": 2, "patch_size": [32, 32], "log_every": 250}
    training["network"] = {"name": "unet", "channels": [4, 8], "convolutions": 1}
    entries = [{"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 10, "size": [32, 40]}}]
    workspace.write_suite(
        name="devices", datasets=entries, methods=["supervised"], seeds=[0, 1, 2, 3], training=training
    )
    runs = [
        f"results/devices/runs/lesions/supervised/default/r0.4/draw0-fold0-seed{seed}/run.json" for seed in range(4)
    ]
    done = workspace.snakemake(
        *("--configfile", "devices.yaml", "--resources", "gpu=4", "--", *runs),
        cores="4",
        CONTRASTSEG_PRETEND_DEVICES="4",
        TMPDIR=str(workspace.work),  # where allocations are held
    )
    assert done.returncode == 0, done.stdout
    cards = [json.loads((workspace.work / run).read_text()) for run in runs]
    assert max(card["started"] for card in cards) < min(card["finished"] for card in cards), "they did not overlap"
    assert len({card["device_uuid"] for card in cards}) == 4
    folder = workspace.work / f"contrastseg-{os.getuid()}" / "devices"
    assert len(list(folder.glob("PRETENDED-*.lock"))) == 4
    free = devices.allocate(count=4, folder=folder, timeout_s=0, environment={devices.PRETENDED: "4"})
    assert {device.uuid for device in free.devices} == {card["device_uuid"] for card in cards}
    free.release()
