"""What is known of code is kept between processes, and is never that of other code."""

from __future__ import annotations

import ast
import json
import multiprocessing

import pytest

from contrastseg import fingerprints
from contrastseg.code_graph import code_fingerprint, graph, remembered
from contrastseg.data.registry import registry as datasets
from contrastseg.fingerprints import stage_fingerprint
from contrastseg.methods import registry as methods

ROOTS = ("parcel.entry:run",)
FILES = {
    "__init__.py": "",
    "entry.py": "from parcel.tools import half\n\n\ndef run(x):\n    return half(x) + 1\n",
    "tools.py": "def half(x):\n    return x / 2\n",
}
OTHER = "def half(x):\n    return x // 2\n"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of the cache, and a small package to ask about."""
    monkeypatch.setenv(remembered.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "parcel").mkdir()
    for name, text in FILES.items():
        (tmp_path / "parcel" / name).write_text(text)
    graph.clear()
    yield tmp_path / "cache"
    graph.clear()


def in_a_new_process(roots: tuple[str, ...] = ROOTS) -> str:
    """The fingerprint as a process finds it that has read nothing yet."""
    graph.clear()
    return code_fingerprint(roots)


@pytest.fixture
def only_from_the_cache(monkeypatch):
    """Nothing can be found out anew while this is entered."""

    def refuse(*arguments: object) -> str:
        raise AssertionError("found out again")

    return lambda: monkeypatch.setattr(graph, "_fingerprint", refuse)


def test_a_second_process_reads_what_the_first_found_out(cache, only_from_the_cache):
    found = in_a_new_process()
    (file,) = cache.iterdir()
    only_from_the_cache()
    assert in_a_new_process() == found
    assert list(cache.iterdir()) == [file]
    (cache.parent / "parcel" / "tools.py").write_text(OTHER)
    with pytest.raises(AssertionError, match="found out again"):
        in_a_new_process()


def test_answers_belong_to_one_state_of_the_code(cache):
    tools = cache.parent / "parcel" / "tools.py"
    first = in_a_new_process()
    tools.write_text(OTHER)
    # The process that read the first state goes on with it, whatever lies there now.
    assert code_fingerprint(("parcel.tools:half",)) != in_a_new_process(("parcel.tools:half",))
    second = in_a_new_process()
    tools.write_text(FILES["tools.py"])
    assert in_a_new_process() == first != second
    assert in_a_new_process(("parcel.tools:half",)) != second
    (cache.parent / "parcel" / "more.py").write_text("")  # a file that only shows by its name is another state too
    assert in_a_new_process() == first
    assert len(list(cache.iterdir())) == 3


def test_half_a_file_or_a_damaged_one_is_not_there(cache):
    found = in_a_new_process()
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    assert found.encode() in whole
    lie = whole.replace(found.encode(), b"0" * 16)
    for damaged in (b"", whole[:30], whole[:-1], whole[:-20], lie, b"\xff" * 100, b"\n{}", whole + b" "):
        file.write_bytes(damaged)
        assert in_a_new_process() == found
        assert file.read_bytes() == whole


@pytest.mark.parametrize("place", ["", "file", "file/below", "/dev/null/nowhere"])
def test_without_a_cache_everything_is_found_out(cache, monkeypatch, place):
    expected = in_a_new_process()
    (cache.parent / "file").write_text("something else")
    monkeypatch.chdir(cache.parent)
    monkeypatch.setenv(remembered.VARIABLE, place)
    assert in_a_new_process() == expected
    assert (cache.parent / "file").read_text() == "something else"
    assert {path.name for path in cache.parent.iterdir()} == {"parcel", "cache", "file"}


def test_old_states_leave_the_cache(cache, monkeypatch):
    monkeypatch.setattr(remembered, "KEPT", 3)
    (cache).mkdir()
    (cache / "something else").write_text("")
    for number in range(6):
        (cache.parent / "parcel" / "tools.py").write_text(f"def half(x):\n    return x / {number}\n")
        in_a_new_process()
    (cache / ".code-left").write_text("")
    assert len(list(cache.glob("code-*.json"))) == 3
    assert (cache / "something else").exists()


def _ask(numbers: range) -> None:
    remembered.forget()
    for number in numbers:
        text = remembered.remembered(frozenset({"parcel"}), f"question {number}", lambda number=number: "x" * number)
        assert text == "x" * number


def test_processes_that_write_at_once_leave_a_whole_file(cache):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_ask, args=(range(start, 200, 4),)) for start in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        for file in cache.glob("code-*.json"):
            assert remembered._read(file), "half a file"
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    (file,) = cache.iterdir()
    known = json.loads(file.read_bytes().partition(b"\n")[2])
    assert len(known) >= 50, "all of the one that wrote last"
    assert all(known[f"question {number}"] == "x" * number for number in range(200) if f"question {number}" in known)


def all_fingerprints() -> dict[tuple[str, str], str]:
    graph.clear()
    stage_fingerprint.cache_clear()
    by_method = {stage: methods.names() for stage, roots in fingerprints._ROOTS.items() if "{method}" in roots}
    chosen = {**by_method, "prepare": datasets.names()}
    return {
        (stage, name): stage_fingerprint(stage, method=name or None, dataset=name or None)
        for stage in fingerprints._ROOTS
        for name in chosen.get(stage, [""])
    }


def test_a_process_knows_all_fingerprints_without_reading_code_again(cache, monkeypatch):
    found = all_fingerprints()
    monkeypatch.setattr(ast, "parse", lambda *_, **__: pytest.fail("a source was parsed"))
    assert all_fingerprints() == found
    assert len(found) > 60
    assert len(set(found.values())) > 50
