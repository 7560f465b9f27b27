"""The README's method is one: it meets the contract as it is printed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def method(tmp_path):
    (source,) = re.findall(r"^```python\n(\"\"\".*?)^```$", README, re.MULTILINE | re.DOTALL)
    file = tmp_path / "certainty.py"
    file.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("readme_certainty", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Certainty


def test_the_printed_method_trains_with_both_sources(method):
    import torch

    from contrastseg.methods.contract import Circumstances, Sample, Task

    task = Task(2, 3, 4, 10, "train", lambda: torch.nn.Conv2d(3, 4, 1))
    built = method(task, method.resolve())
    built.modules = built.build()
    image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(2, 8, 8, dtype=torch.int64)
    nowhere, where = torch.zeros(2, 8, 8, 2), (torch.arange(2), torch.arange(2), torch.full((2,), 0.5))
    batch = {
        "labelled": Sample(image, label, nowhere, *where),
        "unlabelled": Sample(image, None, nowhere, *where),
    }
    assert set(batch) == set(method.stage("train").views)
    terms = built.training_step(batch, 0)
    sum(terms.values()).backward()
    assert set(terms) == {"segmentation", "entropy"}
    assert 0 < terms["entropy"] <= 0.1 * torch.log(torch.tensor(4.0))
    assert method.applies_to(Circumstances(2, 1.0, True, 2)) is not None


def test_the_printed_rule_is_like_those_in_use():
    (printed,) = re.findall(r"^```python\n(use rule.*?)^```$", README, re.MULTILINE | re.DOTALL)
    rules = Path(__file__).resolve().parent.parent / "workflow" / "rules" / "methods"
    in_use = (rules / "supervised.smk").read_text(encoding="utf-8")
    code = [line for line in in_use.splitlines() if line and not line.startswith(("#", '"""'))]
    assert "\n".join(code) == printed.strip().replace("certainty", "supervised")


def test_the_part_for_new_readers_is_short_and_has_its_sections():
    front, mark, _ = README.partition("\n## Reference\n")
    assert mark
    assert front.count("\n") + 1 <= 150, "move it below Reference, or to docs/"
    sections = re.findall(r"^## (.*)$", front, re.MULTILINE)
    wanted = ["Two commands", "The result so far", "Your method", "Your data", "Your predictions", "On a cluster"]
    assert sections == wanted
    tables = re.findall(r"^\| ---", front, re.MULTILINE)
    pictures = re.findall(r"^!\[[^\]]+\]\((docs/[^)]+)\)$", front, re.MULTILINE)
    assert len(tables) == len(pictures) == 1
    assert all((Path(__file__).resolve().parent.parent / picture).is_file() for picture in pictures)
