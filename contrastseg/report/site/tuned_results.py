"""What tuned suites chose and how their choices did, from the stored results."""

from __future__ import annotations

import json
from collections.abc import Iterator

from contrastseg.report.content.labels import number
from contrastseg.report.content.report_data import records
from contrastseg.report.site.reference_runs import ReferenceRuns
from contrastseg.report.site.wording import mean_of, name_of, table_of
from contrastseg.text import plural

_INTRODUCTION = """`{suite}`: each method has {trials}, of which trial 0 has the default settings. *Validation* is the
mean Dice of the patients that validated, with the default settings and with the chosen ones. *Test* is that of the
chosen settings, trained again on all labelled patients; \\* better, † worse than tuned `supervised` by the corrected
test. No row of this table is comparable with an untuned one. *Hours* are those of the trials.
"""
_HEADS = ["method", "chosen settings", "validation, defaults", "validation, chosen", "test", "hours"]


def tuned(run: ReferenceRuns) -> Iterator[str]:
    """A table for each data set and label budget: the choice of each method and its test score.

    Args:
        run: Stored results of a tuned suite, with its `tuned.csv`.
    """
    choices = run.results.frame("tuned")
    yield _INTRODUCTION.format(suite=run.suite, trials=plural(run.trials, "trial"))
    for place in run.places():
        at = (choices["dataset"] == place.entry) & (choices["labels"] == place.labels)
        rows = []
        for choice in records(choices[at]):
            found = place.row(str(choice.method), str(choice.variant))
            settings = ", ".join(f"`{name}: {value}`" for name, value in json.loads(str(choice.values)).items())
            rows.append(
                [
                    name_of(run, choice),
                    settings or "the defaults",
                    number(choice.dice_defaults, 3),
                    number(choice.dice, 3),
                    "–" if found is None else mean_of(found),
                    number(choice.hours, 2),
                ]
            )
        yield f"{place.name}:\n"
        yield from table_of(_HEADS, rows, 2)
