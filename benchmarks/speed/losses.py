"""What every loss costs beside other forms of it, in the same run: the ratio of the times is the result.

Each loss is computed forwards and backwards on the same tensors as its best form in plain torch, the bare matrix
product of its similarities, and MONAI's and lightly's loss where they have the same one and are installed. Values must
agree. All take turns, and the median of the rounds counts, so that a machine that is busy with other things slows all
alike; what takes seconds gets fewer rounds, and a library's loss may be left out for it (`--patience`). `ratio` is ours
over plain.

Memory is the most that is allocated at a time in a pass, beyond the inputs; `memory_exponent` says how it grows with
the number of samples N: the slope of log memory over log N at N, 2N and 4N. 2 is a matrix of N x N similarities. A
library's loss that would take most of the machine's memory is left out, with a line that says so.

Example: `python benchmarks/speed/losses.py --rounds 30 --device cuda`
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import pkgutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from _results import RESULTS, clock, described, results_path, write
from loss_forms import LIBRARIES, Comparison, Form, comparisons
from torch import Tensor

import contrastseg.losses

CONTENDERS = ("ours", "product", "plain", *LIBRARIES)
WITH_MEMORY = [each for each in CONTENDERS if each != "product"]
TIMES = [f"{each}_ms" for each in CONTENDERS]
MEMORY = [f"{each}_mib" for each in WITH_MEMORY]
MACHINE = ("rounds", "device", "threads", "torch", "hardware", "note")
COLUMNS = ("loss", "size", *TIMES, "ratio", *MEMORY, "memory_exponent", *MACHINE)
# A contender slower than this in all its rounds together gets fewer of them.
PATIENCE_S = 20


def all_losses() -> set[str]:
    """Names of the losses there are: the functions of the package whose name ends so."""
    names: set[str] = set()
    for found in pkgutil.iter_modules(contrastseg.losses.__path__):
        module = importlib.import_module(f"contrastseg.losses.{found.name}")
        names |= {name for name in vars(module) if name.endswith("_loss") and not name.startswith("_")}
    return names


def libraries() -> dict[str, dict[str, Form]]:
    """The other libraries' losses; a line for each library that is not here, whose columns stay empty."""
    found: dict[str, dict[str, Form]] = {}
    for name, forms in LIBRARIES.items():
        try:
            found[name] = forms()
        # A library that is installed and broken, as by another torch than it was built for, is as good as missing.
        except (ImportError, OSError, RuntimeError) as error:
            found[name] = {}
            print(f"{name} is left out: {type(error).__name__}: {error}")
    return found


def one_pass(form: Form, inputs: tuple[Tensor, ...]) -> None:
    """Forwards and backwards to the first input."""
    form(inputs[0].detach().requires_grad_(), *inputs[1:]).backward()


def seconds(form: Form, inputs: tuple[Tensor, ...]) -> float:
    """Time of one pass."""
    synchronise: Any = torch.cuda.synchronize if inputs[0].is_cuda else lambda: None
    synchronise()
    now = clock(inputs[0].device.type)
    started = now()
    one_pass(form, inputs)
    synchronise()
    return now() - started


@contextmanager
def silent() -> Iterator[None]:
    """Without what torch's profiler writes to standard error whenever it starts and ends."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def peak_mib(form: Form, inputs: tuple[Tensor, ...]) -> float:
    """The most memory that one pass has allocated at a time, in MiB."""
    if inputs[0].is_cuda:
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        one_pass(form, inputs)
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with silent(), torch.profiler.profile(profile_memory=True) as profile:
        one_pass(form, inputs)
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most / 2**20


def exponent(comparison: Comparison) -> float:
    """The slope of log peak memory over log samples, by least squares."""
    sizes = [times * comparison.samples for times in (1, 2, 4)]
    peaks = [math.log(peak_mib(comparison.ours, comparison.make(size))) for size in sizes]
    return statistics.linear_regression([math.log(size) for size in sizes], peaks).slope


def fits(library: str, comparison: Comparison, form: Form, patience: float, share: float = 0.6) -> bool:
    """Whether a form takes less than this share of the memory and this many seconds, as a quarter of the samples says.

    Both grow with the square of the samples at most, in all forms there are.
    """
    inputs = comparison.make(max(2, comparison.samples // 4))
    lasts, needed = 16 * seconds(form, inputs), 16 * peak_mib(form, inputs) * 2**20
    whole = (
        torch.cuda.mem_get_info()[1] if inputs[0].is_cuda else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    )
    if needed > share * whole:
        print(f"{library}'s {comparison.loss} is left out: it would take about {needed / 2**30:.0f} GiB")
    elif lasts > patience:
        print(f"{library}'s {comparison.loss} is left out: a pass would take up to {lasts:.0f} s")
    return needed <= share * whole and lasts <= patience


def measure(comparison: Comparison, forms: dict[str, Form], rounds: int) -> dict[str, Any]:
    """Median times of all forms and their peak memory, after they have been seen to agree; one round does not count."""
    inputs = comparison.make(comparison.samples)
    expected = comparison.plain(*inputs)
    times: dict[str, list[float]] = {name: [] for name in forms}
    for name, form in forms.items():
        if name != "product":
            torch.testing.assert_close(form(*inputs), expected, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
        times[name].append(seconds(form, inputs))
    turns = {name: min(rounds, max(1, int(PATIENCE_S / taken[0]))) for name, taken in times.items()}
    for done in range(rounds):
        for name, form in forms.items():
            if done < turns[name]:
                times[name].append(seconds(form, inputs))
    middle = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    return {
        **{f"{name}_ms": f"{1e3 * value:.3f}" for name, value in middle.items()},
        "ratio": f"{middle['ours'] / middle['plain']:.2f}",
        **{f"{name}_mib": f"{peak_mib(form, inputs):.2f}" for name, form in forms.items() if name != "product"},
        "memory_exponent": f"{exponent(comparison):.2f}",
    }


def line(row: dict[str, Any]) -> str:
    """A row of the printed table; a dash where a form does not exist."""
    shown = "".join(f"{row.get(column, '-'):>16}" for column in (*TIMES, "ratio", *MEMORY, "memory_exponent"))
    return f"{row['loss']:<26}{row['size']:<34}{shown}"


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--patience", type=float, default=math.inf, help="seconds of a pass of a library's loss")
    parser.add_argument("--part", type=int, default=1, help="divides the sizes, for a quick look")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    versions = (given.rounds, given.device, given.threads, torch.__version__, described(), given.note)
    others = libraries()
    print(line({column: column for column in COLUMNS}))
    rows: list[dict[str, Any]] = []
    for comparison in comparisons(device, given.part):
        theirs = {
            library: found[comparison.loss]
            for library, found in others.items()
            if comparison.loss in found and fits(library, comparison, found[comparison.loss], given.patience)
        }
        bare = {} if comparison.product is None else {"product": comparison.product}
        forms = {"ours": comparison.ours, **bare, "plain": comparison.plain, **theirs}
        size = comparison.size.replace("N", str(comparison.samples))
        measured = measure(comparison, forms, given.rounds)
        rows.append({"loss": comparison.loss, "size": size, **measured, **dict(zip(MACHINE, versions, strict=True))})
        print(line(rows[-1]), flush=True)
    for missing in sorted(all_losses() - {row["loss"] for row in rows}):
        print(f"{missing:<26}not measured")
    file = results_path(given.output, "losses", given.device)
    write(file, COLUMNS, rows)
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
