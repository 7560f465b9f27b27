"""The statistics of a grid of runs, in one place to import from: per patient, summarised, compared, ranked."""

from contrastseg.evaluation.aggregation import MEAN, per_patient, per_replicate
from contrastseg.evaluation.comparison import COMPARISON_COLUMNS, compare
from contrastseg.evaluation.critical import CRITICAL_COLUMNS, critical_table
from contrastseg.evaluation.ranking import RANKING_COLUMNS, ranking_table
from contrastseg.evaluation.significance import PAIR_COLUMNS, pairwise
from contrastseg.evaluation.summary import SUMMARY_COLUMNS, summarise
from contrastseg.evaluation.verdicts import VERDICTS

__all__ = [
    "COMPARISON_COLUMNS",
    "CRITICAL_COLUMNS",
    "MEAN",
    "PAIR_COLUMNS",
    "RANKING_COLUMNS",
    "SUMMARY_COLUMNS",
    "VERDICTS",
    "compare",
    "critical_table",
    "pairwise",
    "per_patient",
    "per_replicate",
    "ranking_table",
    "summarise",
]
