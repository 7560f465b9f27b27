from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings


def test_defaults_are_the_policy() -> None:
    assert EvaluationSettings().convention == "default"
    assert EvaluationSettings().metrics == ("dice", "iou", "hd95", "hd95_pooled", "assd")
    assert (ComparisonSettings().baseline, ComparisonSettings().alpha) == ("supervised", 0.05)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metrics": ["dise"]}, "unknown metric 'dise'; there are: .*dice"),
        ({"convention": "best"}, "unknown convention 'best'; there are: .*transunet"),
        ({"metrics": []}, "at least 1 item"),
        ({"also_conventions": ["medpy", "best"]}, "unknown convention 'best'; there are: .*transunet"),
        ({"also_conventions": ["medpy", "medpy"]}, "names a convention twice"),
        ({"also_conventions": ["default"]}, "or the suite's own, 'default'"),
        ({"nsd_tolerance": -1}, "length of 0 or more"),
        ({"nsd_tolerance": {"liver": 2, "spleen": float("nan")}}, "length of 0 or more, and nan"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_wrong_settings_say_what_there_is(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EvaluationSettings.model_validate(fields)


def test_other_conventions_come_after_the_suites_own() -> None:
    assert EvaluationSettings().conventions == ()
    assert EvaluationSettings(convention="monai", also_conventions=("medpy",)).conventions == ("monai", "medpy")


@pytest.mark.parametrize("fields", [{"alpha": 0}, {"alpha": 1}, {"family": "all"}, {"metrics": ["x"]}])
def test_wrong_comparisons_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ComparisonSettings.model_validate(fields)


def test_nothing_here_imports_torch_and_planning_imports_next_to_nothing() -> None:
    modules = [
        "scoring.collect",
        "metrics.conventions",
        "statistics.convention_ranks",
        "statistics.derived",
        "metrics.case_scores",
        "published.published",
        "scoring.scoring",
        "settings",
        "statistics",
    ]
    code = "import sys\nimport contrastseg.evaluation.scoring.predictions\n"
    code += "assert not {'numpy', 'pandas', 'scipy', 'pydantic'} & set(sys.modules), 'predictions'\n"
    code += "import contrastseg.evaluation.metrics.overlap\n"
    code += "assert not {'pandas', 'scipy', 'torch'} & set(sys.modules), 'overlap'\n"
    code += "\n".join(f"import contrastseg.evaluation.{module}" for module in modules)
    code += "\nassert not {'torch', 'monai', 'medpy', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
