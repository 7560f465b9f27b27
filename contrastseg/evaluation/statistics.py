"""The statistics of a grid of runs, in one place to import from: per patient, summarised, compared."""

from contrastseg.evaluation.aggregation import MEAN, per_patient, per_replicate
from contrastseg.evaluation.comparison import COMPARISON_COLUMNS, VERDICTS, compare
from contrastseg.evaluation.summary import SUMMARY_COLUMNS, summarise

__all__ = [
    "COMPARISON_COLUMNS",
    "MEAN",
    "SUMMARY_COLUMNS",
    "VERDICTS",
    "compare",
    "per_patient",
    "per_replicate",
    "summarise",
]
