"""The table of the long tests' last result, from what pytest has written: `make test-long` says how.

Example: `python docs/_long_tests.py results/test-long.xml docs/long-tests.md`
"""

from __future__ import annotations

import argparse
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from pathlib import Path

from contrastseg.files import atomic_path
from contrastseg.training.records import git_commit, hardware, versions

OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}
_PAGE = """# Long tests

What `make test-long` found on {date}, at commit `{commit}`, Python {python}, torch {torch}, on {cpu}, {cores} cores:
{total}. One row per test; *cases* are what it was run with. Minutes are those of the clock.

| test | cases | passed | failed | skipped | minutes |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}
{reasons}"""


def page(report: Path) -> str:
    """The page, in Markdown.

    Args:
        report: JUnit XML of pytest, run on this machine and commit.

    Raises:
        SystemExit: The report names no test.
    """
    import torch

    root = ElementTree.parse(report).getroot()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    reasons: set[str] = set()
    for case in root.iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
        found = next((OUTCOMES[child.tag] for child in case if child.tag in OUTCOMES), "passed")
        counts[name][found] += 1
        seconds[name] += float(case.get("time", 0))
        if found == "skipped":
            told = next(child.get("message", "") for child in case if child.tag == "skipped")
            reasons.add(f"- skipped: `{name}`, {told}")
    if not counts:
        raise SystemExit(f"{report} names no test")
    rows = [
        f"| `{name}` | {sum(found.values())} | {found['passed']} | {found['failed']} | {found['skipped']} |"
        f" {seconds[name] / 60:.1f} |"
        for name, found in sorted(counts.items())
    ]
    total = sum(counts.values(), Counter[str]())
    machine = hardware(torch.device("cpu"))
    suite = next(root.iter("testsuite"))
    return _PAGE.format(
        date=re.split("[T ]", suite.get("timestamp", ""))[0],
        commit=re.sub(r"^(.{10})[^-]*", r"\1", git_commit()),
        python=versions()["python"],
        torch=torch.__version__,
        cpu=machine["cpu"],
        cores=machine["cpu_count"],
        total=", ".join(f"{total[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")),
        rows="\n".join(rows),
        reasons="\n".join(["", *sorted(reasons), ""]) if reasons else "",
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("output", type=Path)
    given = parser.parse_args()
    with atomic_path(given.output) as temporary:
        temporary.write_text(page(given.report), encoding="utf-8")


if __name__ == "__main__":
    main()
