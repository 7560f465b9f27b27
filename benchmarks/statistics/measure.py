"""What the statistics are worth, by simulation: coverage of intervals, false alarms of families of tests, power.

Writes contrastseg/evaluation/statistics/simulated.py, from which every table prints the coverage of its intervals, and
the tables of docs/statistics.md. The same options give the same numbers.

Example: `python benchmarks/statistics/measure.py` (about six minutes on one core)
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t as student
from simulated_intervals import NEARLY, SHAPES, Design, Share, coverage, near_coverage, scores, shift_coverage, truth
from simulated_rows import external_error, tuned_error
from simulated_runs import Luck, runs_error
from simulated_tests import (
    TRUTHS,
    both_tests,
    critical_error,
    family_error,
    power,
    retrained_error,
    smallest_shift,
)

from contrastseg.evaluation.statistics.critical import critical_difference, diagram_power
from contrastseg.evaluation.statistics.paired import smallest_p
from contrastseg.files import atomic_path

ROOT = Path(__file__).resolve().parents[2]
SIZES = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 200)
FEW = (6, 12, 30, 100)
PAIRED_SIZES = (6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 25, 30, 40, 50, 75, 100, 200)
FAMILIES = (1, 2, 3, 5, 10, 20, 50, 100, 200)
SEEDS, ONE = Design(), Design(seeds=1, seed_sd=0.0)
DESIGNS = {
    "3 draws × 3 seeds": Design(draws=3, draw_sd=0.15),
    "3 seeds that disagree": Design(seed_sd=0.3),
    "1 seed, truth over all seeds": Design(seeds=1),
}
LUCK = (Luck(0.0, 0.0), Luck(0.0, 0.01), Luck(0.01, 0.01))
RUNS = ((1, 1), (1, 3), (3, 1), (3, 3))


def percent(share: Share) -> str:
    """Such as "94.2 ± 0.5": a share and its Monte-Carlo standard error in per cent; a dash for an unknown one."""
    if math.isnan(share.share):
        return "–"
    return f"{100 * share.share:.1f} ± {100 * share.error:.1f}"


def markdown(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def plain_intervals(name: str, n: int, repetitions: int) -> tuple[Share, Share, Share]:
    """Coverage of the textbook t and the plain percentile bootstrap, and how often that t leaves the metric's range."""
    rng = np.random.default_rng(n)
    shape, mean = SHAPES[name], truth(name, ONE)
    held: list[tuple[bool, bool, bool]] = []
    for _ in range(repetitions):
        patients = scores(rng, shape, ONE, n)[0][:, 0]
        half = student.ppf(0.975, n - 1) * patients.std(ddof=1) / np.sqrt(n)
        low, high = patients.mean() - half, patients.mean() + half
        drawn = patients[rng.integers(0, n, (1000, n))].mean(axis=1)
        least, most = np.quantile(drawn, [0.025, 0.975])
        held.append((low <= mean <= high, least <= mean <= most, low < shape.bounds[0] or high > shape.bounds[1]))
    found = np.array(held)
    return Share.of(found[:, 0]), Share.of(found[:, 1]), Share.of(found[:, 2])


def near_table(repetitions: int) -> str:
    """Coverage where most patients have one score; no coverage is claimed of such samples."""
    rows = []
    for name in NEARLY:
        for n in (10, 20, 40):
            for differing in (0.05, 0.1, 0.2):
                found = near_coverage(name, n, differing, repetitions)
                inside = "–" if math.isnan(found.inside.share) else percent(found.inside)
                told = (percent(found.held), percent(found.degenerate), inside, percent(found.outside))
                rows.append([name, n, f"{100 * differing:.0f} %", *told])
    heads = ["scores", "n", "differ", "held", "degenerate or all equal", "held, degenerate", "impossible"]
    return markdown(heads, rows)


def runs_table(repetitions: int) -> str:
    """False alarms of 19 tests of equal methods, by how many draws and seeds they average."""
    rows = []
    for luck in LUCK:
        for draws, seeds in RUNS:
            for n in (10, 20):
                found = runs_error(draws, seeds, luck, n, 19, repetitions)
                rows.append([luck.draw, luck.seed, f"{draws} × {seeds}", n, *map(percent, found)])
    heads = ["SD of a draw", "SD of a seed", "draws × seeds", "n", "family of 19", "one test", "interval over runs too"]
    return markdown([*heads, "and each seed alone", "and each draw alone"], rows)


def tuned_table(repetitions: int) -> str:
    """False alarms of tuned equal methods, whose trials are alike or differ in truth."""
    rows = [
        [spread, n, m, *map(percent, tuned_error(spread, n, m, repetitions))]
        for spread in (0.0, 0.02)
        for n in (10, 50)
        for m in (4, 19)
    ]
    heads = ["SD of trials", "n", "tests", "equal settings", "any settings", "baseline at its defaults"]
    return markdown([*heads, "chosen on test patients"], rows)


def external_table(repetitions: int) -> str:
    """False alarms of families of equal methods, some of which are rows from elsewhere."""
    rows = [
        [n, m, rows, *(percent(external_error(rows, n, m, repetitions, entries=entries)) for entries in (1, 5))]
        for n in (10, 50)
        for m in (4, 19)
        for rows in (1, m)
    ]
    return markdown(["n", "tests", "from elsewhere", "entered once", "best of 5 entries"], rows)


# Tables of the page that can be measured without the others, from the effort.
APART: dict[str, Callable[[int], str]] = {
    "runs": lambda effort: runs_table(effort // 2),
    "tuned": lambda effort: tuned_table(effort // 2),
    "external": external_table,
}


def measure(effort: int) -> tuple[dict[str, str], str]:
    """The tables of the page by name, and the text of simulated.py.

    Args:
        effort: Repetitions of one interval's coverage; the others are in proportion.
    """
    found = {
        (name, n, runs): coverage(name, n, design, effort)
        for name in SHAPES
        for n in SIZES
        for runs, design in ((1, ONE), (2, SEEDS))
    }
    shifts = {(n, m): smallest_shift(n, m, effort) for n in PAIRED_SIZES for m in FAMILIES}
    tables = {
        "coverage": markdown(
            ["n", "kind", *SHAPES],
            [[n, found["overlap", n, 2][1], *(percent(found[name, n, 2][0]) for name in SHAPES)] for n in SIZES],
        ),
        "designs": markdown(
            ["runs", "n", *SHAPES],
            [
                [title, n, *(percent(coverage(name, n, design, effort // 2)[0]) for name in SHAPES)]
                for title, design in DESIGNS.items()
                for n in FEW
            ],
        ),
        "plain": markdown(
            ["scores", "n", "ours", "textbook t", "leaves the range", "percentile bootstrap"],
            [
                [name, n, percent(found[name, n, 1][0]), percent(t), percent(outside), percent(bootstrap)]
                for name in ("overlap", "distance")
                for n in (4, 6, 12, 20, 30, 50)
                for t, bootstrap, outside in [plain_intervals(name, n, effort)]
            ],
        ),
        "degenerate": near_table(effort // 2),
        "shift": markdown(
            ["n", "normal", "heavy tails"],
            [
                [n, *(percent(shift_coverage(kind, n, effort)) for kind in ("normal", "heavy tails"))]
                for n in (6, 8, 12, 20, 30, 50, 100)
            ],
        ),
        "family": markdown(
            ["truth", "n", "4 tests", "19 tests"],
            [
                [one, n, *(percent(family_error(one, n, m, 2 * effort)) for m in (4, 19))]
                for one in TRUTHS
                for n in (8, 12, 20, 50)
            ],
        ),
        "retrained": markdown(
            ["luck of a training, SD", "seeds", "n", "signed-rank test", "interval over runs too"],
            [
                [luck, seeds, n, *map(percent, retrained_error(n, seeds, luck, effort))]
                for luck in (0.0, 0.005, 0.01, 0.02)
                for seeds in (3, 5)
                for n in (12, 30)
            ],
        ),
        **{name: table(effort) for name, table in APART.items()},
        "both": markdown(
            ["n", "shift / SD", "signed-rank", "sign-flip", "agree"],
            [[n, shift, *map(percent, both_tests(n, shift, effort))] for n in (8, 14, 30) for shift in (0.0, 0.5)],
        ),
        "power": markdown(
            ["n", "smallest p, m = 19", *(f"{shift} SD, m = {m}" for m in (1, 19) for shift in (0.25, 0.5, 1.0, 1.5))],
            [
                [
                    n,
                    f"{smallest_p([n] * 19)[0]:.2g}",
                    *(f"{100 * power(n, s, m, effort).share:.0f}" for m in (1, 19) for s in (0.25, 0.5, 1.0, 1.5)),
                ]
                for n in (6, 8, 10, 12, 20, 30, 50, 100)
            ],
        ),
        "detectable": markdown(
            ["n", *(f"m = {m}" for m in FAMILIES)],
            [
                [n, *("–" if math.isnan(shifts[n, m]) else f"{shifts[n, m]:.2f}" for m in FAMILIES)]
                for n in PAIRED_SIZES
            ],
        ),
        "critical": markdown(
            ["data sets", "methods", "critical difference", "of at most", "false alarms", "power at 1 SD"],
            [
                [
                    *(datasets, methods, f"{critical_difference(np.eye(datasets, methods), True).difference:.2f}"),
                    *(methods - 1, percent(critical_error(datasets, methods, effort // 2))),
                    f"{100 * diagram_power(datasets, methods):.0f}",
                ]
                for datasets in (3, 5, 10, 20)
                for methods in (3, 5, 10, 20)
            ],
        ),
    }
    rows = {
        (name, runs): {n: round(found[name, n, runs][0].share, 3) for n in SIZES} for name in SHAPES for runs in (1, 2)
    }
    return tables, module_text(rows, shifts, effort)


def module_text(
    rows: dict[tuple[str, int], dict[int, float]], shifts: dict[tuple[int, int], float], effort: int
) -> str:
    """The text of simulated.py."""
    shown = {key: "NAN" if math.isnan(shift) else str(shift) for key, shift in shifts.items()}
    lines = [
        f'"""Measured with {effort} repetitions each: coverage of intervals, and differences that can be found.',
        "",
        "Written by `python benchmarks/statistics/measure.py`; docs/statistics.md says what was simulated. A module,",
        "not a file of data, so that what is made from these numbers is remade when they change.",
        '"""',
        "",
        'NAN = float("nan")',
        "LEVEL = 0.05",
        "# Shape of the scores, and whether there is 1 run or several (2): the columns of COVERAGE.",
        "SHAPES = (",
        *(f'    ("{name}", {runs}),' for name, runs in rows),
        ")",
        "# Patients: share of nominal 95 % intervals that held the truth.",
        "COVERAGE = {",
        *(f"    {n}: ({', '.join(str(table[n]) for table in rows.values())})," for n in SIZES),
        "}",
        "# Tests of the family: the columns of DETECTABLE.",
        f"FAMILIES = {FAMILIES}",
        "# Patients: shift in standard deviations of the differences that is found in 4 of 5 cases.",
        "DETECTABLE = {",
        *(f"    {n}: ({', '.join(shown[n, m] for m in FAMILIES)})," for n in PAIRED_SIZES),
        "}",
        "",
    ]
    return "\n".join(lines)


def fill(page: str, tables: dict[str, str]) -> str:
    """The page with each table between its `<!-- measured: NAME -->` and the next `<!-- end -->`."""
    for name, table in tables.items():
        pattern = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page, count = pattern.subn(lambda match, text=table: f"{match[1]}{text}\n{match[2]}", page)
        if count != 1:
            raise SystemExit(f"the page has {count} places for the table {name!r}")
    return page


def main() -> None:
    """Simulate, and write the module and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effort", type=int, default=2000, help="repetitions of one interval's coverage")
    parser.add_argument(
        "--module", type=Path, default=ROOT / "contrastseg" / "evaluation" / "statistics" / "simulated.py"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "statistics.md")
    parser.add_argument("--only", nargs="+", choices=sorted(APART), help="measure these tables of the page alone")
    options = parser.parse_args()
    page = options.page.read_text(encoding="utf-8")
    if options.only:
        written = {options.page: fill(page, {name: APART[name](options.effort) for name in options.only})}
    else:
        tables, module = measure(options.effort)
        written = {options.page: fill(page, tables), options.module: module}
    for path, text in written.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
