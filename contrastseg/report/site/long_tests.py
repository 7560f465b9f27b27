"""The table of the long tests' last result, from what pytest has written: `make test-long` says how.

Where some failed, were mended and ran again, a later report takes the place of what it repeats, and the page says so.
The list of reasons at the end of the page is written by hand and stays.

Example: `python -m contrastseg.report.site.long_tests results/test-long.xml --output docs/long-tests.md`
"""

from __future__ import annotations

import argparse
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from contrastseg.files import atomic_path
from contrastseg.training.records import git_commit, hardware, versions

OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}
_PAGE = """# Long tests

`make test-long` ran on {date}, at {commits}, with Python {python} and torch {torch}, on {cpu}, {cores} cores,
{capability}: {total}.

The table has one row a test. *Cases* is the number of its parameters. Minutes are wall-clock time.{again}

| test | cases | passed | failed | skipped | minutes |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}
{reasons}"""

_REASONS = "\n## Why tests are long\n"
_AGAIN = """
{again} of them failed, or are in one file with some that failed, and ran again after the correction. The table has the
second result. The others ran at the first commit."""


def page(reports: Sequence[Path], commits: Sequence[str] = ()) -> str:
    """The page, in Markdown.

    Args:
        reports: JUnit XML of pytest, run on this machine.
        commits: Those they ran at; this one if left out.

    Raises:
        SystemExit: The report names no test.
    """
    import torch

    roots = [ElementTree.parse(report).getroot() for report in reports]
    cases = {(case.get("classname"), case.get("name")): case for root in roots for case in root.iter("testcase")}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    reasons: set[str] = set()
    for case in cases.values():
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
        found = next((OUTCOMES[child.tag] for child in case if child.tag in OUTCOMES), "passed")
        counts[name][found] += 1
        seconds[name] += float(case.get("time", 0))
        if found == "skipped":
            told = next(child.get("message", "") for child in case if child.tag == "skipped")
            reasons.add(f"- skipped: `{name}`, {told}")
    if not counts:
        raise SystemExit(f"{', '.join(map(str, reports))}: no test is named")
    rows = [
        f"| `{name}` | {sum(found.values())} | {found['passed']} | {found['failed']} | {found['skipped']} |"
        f" {seconds[name] / 60:.1f} |"
        for name, found in sorted(counts.items())
    ]
    total = sum(counts.values(), Counter[str]())
    machine = hardware(torch.device("cpu"))
    again = sum(len(list(root.iter("testcase"))) for root in roots) - len(cases)
    suite = next(roots[-1].iter("testsuite"))
    return _PAGE.format(
        date=re.split("[T ]", suite.get("timestamp", ""))[0],
        commits=_listed(commits or [git_commit()]),
        python=versions()["python"],
        torch=torch.__version__,
        cpu=machine["cpu"],
        cores=machine["cpu_count"],
        capability=machine["cpu_capability"],
        total=", ".join(f"{total[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")),
        rows="\n".join(rows),
        again=_AGAIN.format(again=again) if again else "",
        reasons="\n".join(["", *sorted(reasons), ""]) if reasons else "",
    )


def by_hand(text: str) -> str:
    """Keep the part of a page that is written by hand: why tests are long."""
    _, heading, rest = text.partition(_REASONS)
    return heading + rest


def _listed(commits: Sequence[str]) -> str:
    *others, last = (f"`{_short(commit)}`" for commit in commits)
    return f"commits {', '.join(others)} and {last}" if others else f"commit {last}"


def _short(commit: str) -> str:
    return re.sub(r"^(.{10})[^-]*", r"\1", commit)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+", help="JUnit XML, in the order of the runs")
    parser.add_argument("--commit", action="append", default=[], help="what they ran at, where that is not this commit")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    before = given.output.read_text(encoding="utf-8") if given.output.is_file() else ""
    with atomic_path(given.output) as temporary:
        temporary.write_text(page(given.reports, given.commit) + by_hand(before), encoding="utf-8")


if __name__ == "__main__":
    main()
