"""Data that comes through a client: what is asked of Synapse's library, and of TCIA's interface."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import sys
import traceback
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contrastseg.data.download import clients, download
from contrastseg.data.download.clients import TOKEN, fetch_from_synapse, tcia_series
from contrastseg.data.download.download import download_dataset, locate, registration_steps
from contrastseg.data.download.http import TransferError, part_path
from contrastseg.data.download.table import published_files
from contrastseg.data.registry import registry
from contrastseg.errors import DataError, UnavailableDataError
from tests.data_tables import table_of
from tests.serving import Site, serving

SECRET = "a-personal-access-token"
STEPS = ("join the challenge at https://www.synapse.org/Synapse:syn3193805", "put RawData below $CONTRASTSEG_DATA/BTCV")
BTCV = dataclasses.replace(registry.get("acdc"), name="btcv", folder_names=("BTCV",), registration=STEPS)
PANCREAS = dataclasses.replace(BTCV, name="pancreas_ct", registration=())


def zipped(name: str, content: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as opened:
        opened.writestr(name, content)
    return written.getvalue()


class Synapse:
    """Stands in for the package synapseclient, with the signatures of its version 4.14."""

    def __init__(self, content: bytes, fault: Callable[[str], Exception] | None = None) -> None:
        self.asked: list[tuple[str, Any]] = []
        outer = self

        class Client:
            def __init__(
                self,
                *,
                silent: bool | None = None,
                skip_checks: bool = False,
                cache_client: bool = True,
                cache_root_dir: str | None = None,
            ) -> None:
                outer.asked.append(("Synapse", (silent, skip_checks, cache_client)))

            def login(
                self, email: str | None = None, silent: bool = False, authToken: str = "", profile: str = "default"
            ) -> None:
                outer.asked.append(("login", authToken))
                if fault is not None:
                    raise fault(authToken)

        @dataclasses.dataclass
        class FileOptions:
            download_file: bool = True
            download_location: str | None = None
            if_collision: str = "keep.both"

        def get(synapse_id: str, *, file_options: FileOptions, synapse_client: Client) -> types.SimpleNamespace:
            outer.asked.append(("get", synapse_id))
            assert isinstance(synapse_client, Client)
            assert file_options.download_file
            path = Path(str(file_options.download_location)) / "RawData.zip"
            path.write_bytes(content)
            return types.SimpleNamespace(path=str(path))

        operations = types.ModuleType("synapseclient.operations")
        operations.FileOptions, operations.get = FileOptions, get  # type: ignore[attr-defined]
        package = types.ModuleType("synapseclient")
        package.Synapse, package.operations = Client, operations  # type: ignore[attr-defined]
        self.modules = {"synapseclient": package, "synapseclient.operations": operations}


def install(monkeypatch: pytest.MonkeyPatch, synapse: Synapse) -> None:
    for name, module in synapse.modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def btcv_table(folder: Path, **columns: str) -> Path:
    row = {"name": "btcv", "file": "RawData.zip", "registration": "required", "client": "synapse:syn3379050"}
    return table_of(folder, {**row, "unpack": ".", **columns})


def test_synapse_is_asked_for_the_file_with_the_user_s_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synapse = Synapse(zipped("RawData/Training/img/img0001.nii.gz", b"image"))
    install(monkeypatch, synapse)
    said: list[str] = []
    folder = download_dataset(
        BTCV, None, tmp_path, table=btcv_table(tmp_path), announce=said.append, environment={TOKEN: f" {SECRET}\n"}
    )
    assert synapse.asked == [("Synapse", (True, True, False)), ("login", SECRET), ("get", "syn3379050")]
    assert folder is not None
    assert (folder / "RawData" / "Training" / "img" / "img0001.nii.gz").read_bytes() == b"image"
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "RawData", "RawData.zip", "checksums.json"]
    assert locate(BTCV, None, tmp_path) == folder
    assert said[0].startswith("RawData.zip: no published checksum, trusted on first use")
    for path in folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_what_synapse_gives_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Synapse(b"an error page"))
    table = btcv_table(tmp_path, md5="0" * 32)
    with pytest.raises(DataError, match="wrong checksum: md5"):
        download_dataset(BTCV, None, tmp_path, table=table, announce=str, environment={TOKEN: SECRET})
    assert not list(tmp_path.rglob("RawData.zip*"))


def test_the_token_is_in_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, Synapse(b"", lambda token: RuntimeError(f"401 for Bearer {token}, {token!r}")))
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DataError, match=r"401 for Bearer \*\*\*") as caught:
        download_dataset(BTCV, None, tmp_path, table=btcv_table(tmp_path), environment={TOKEN: SECRET})
    assert "joined the challenge" in str(caught.value.remedy)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    shown += "".join(capfd.readouterr())
    links = [caught.value]
    for error in links:
        links += [link for link in (error.__cause__, error.__context__) if link is not None]
    shown += "".join(f"{error!r} {vars(error)}" for error in links)
    assert SECRET not in shown
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_without_a_token_the_steps_are_told(tmp_path: Path) -> None:
    for environment in ({}, {TOKEN: "  "}):
        with pytest.raises(UnavailableDataError) as caught:
            download_dataset(BTCV, None, tmp_path, table=btcv_table(tmp_path), environment=environment)
        remedy = str(caught.value.remedy)
        assert STEPS[0] in remedy
        assert "(3) or, once the account has joined, let `contrastseg download btcv` fetch it" in remedy
        assert TOKEN in remedy
        with pytest.raises(UnavailableDataError, match="needs an account"):
            fetch_from_synapse("syn1", tmp_path / "RawData.zip", environment=environment)
    assert registration_steps(BTCV)[:2] == STEPS
    assert registration_steps(registry.get("acdc")) == registry.get("acdc").registration


def test_without_the_package_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "synapseclient", None)
    with pytest.raises(UnavailableDataError, match=r"pip install 'contrastseg\[clients\]'"):
        download_dataset(BTCV, None, tmp_path, table=btcv_table(tmp_path), environment={TOKEN: SECRET})


def test_synapse_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Synapse(b""))
    with pytest.raises(DataError, match="no space left"):
        fetch_from_synapse("syn1", tmp_path / "RawData.zip", size=10**18, environment={TOKEN: SECRET})
    assert not part_path(tmp_path / "RawData.zip").exists()


@pytest.fixture
def tcia(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A collection of two series, in the present catalogue."""
    with serving() as site:
        monkeypatch.setattr(clients, "NBIA", (site.url("v4"), site.url("v1")))
        listed = [
            {"SeriesInstanceUID": "1.2.840.2", "PatientID": "PANCREAS_0002", "ImageCount": 1},
            {"SeriesInstanceUID": "1.2.840.1", "PatientID": "PANCREAS_0001", "ImageCount": 1},
        ]
        site.files["v4/getSeries?Collection=Pancreas-CT"] = json.dumps(listed).encode()
        for number in "12":
            path = f"getImage?SeriesInstanceUID=1.2.840.{number}"
            site.files[f"v4/{path}"] = site.files[f"v1/{path}"] = zipped("1-001.dcm", number.encode())
        yield site


def tcia_table(folder: Path) -> Path:
    return table_of(folder, {"name": "pancreas_ct", "client": "tcia:Pancreas-CT", "unpack": "Pancreas-CT"})


def test_a_collection_of_tcia_is_downloaded_series_by_series(tmp_path: Path, tcia: Site) -> None:
    del tcia.files["v4/getImage?SeriesInstanceUID=1.2.840.2"]  # the older interface has it still
    said: list[str] = []
    folder = download_dataset(
        PANCREAS, None, tmp_path, table=tcia_table(tmp_path), announce=said.append, sleep=lambda seconds: None
    )
    assert folder is not None
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.dcm")}
    assert found == {
        "Pancreas-CT/PANCREAS_0001/1.2.840.1/1-001.dcm": b"1",
        "Pancreas-CT/PANCREAS_0002/1.2.840.2/1-001.dcm": b"2",
    }
    assert any("taken from" in line and "/v1/getImage" in line for line in said)


def test_a_catalogue_that_does_not_answer_and_one_that_lies(tmp_path: Path, tcia: Site) -> None:
    (row,) = published_files("pancreas_ct", tcia_table(tmp_path))
    listed = tcia.files.pop("v4/getSeries?Collection=Pancreas-CT")
    tcia.files["v1/getSeries?Collection=Pancreas-CT"] = listed
    assert [series.file for series in tcia_series(row)] == ["1.2.840.1.zip", "1.2.840.2.zip"]
    for odd in (b"<html>", b"[]", b'[{"SeriesInstanceUID": "1.2"}]', listed.replace(b"PANCREAS_0001", b"../../evil")):
        tcia.files["v1/getSeries?Collection=Pancreas-CT"] = odd
        with pytest.raises(TransferError, match="the list of Pancreas-CT cannot be read") as caught:
            tcia_series(row)
        assert "NBIA Data Retriever" in str(caught.value.remedy)
    tcia.files["v1/getSeries?Collection=Pancreas-CT"] = listed.replace(b"1.2.840.1", b"1/../../2")
    with pytest.raises(TransferError, match="series"):
        tcia_series(row)


def test_the_project_s_rows_name_clients_there_are() -> None:
    assert [row.client for row in published_files("btcv")] == ["synapse:syn3379050"]
    assert [row.client for row in published_files("pancreas_ct") if row.client] == ["tcia:Pancreas-CT"]
    assert all(base.startswith("https://") for base in clients.NBIA)
    assert download.tcia_series is tcia_series
