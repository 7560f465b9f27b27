"""The statistics of a grid of runs, in one place to import from: per patient, summarised, compared, ranked."""

from contrastseg.evaluation.statistics.aggregation import MEAN, per_patient, per_replicate
from contrastseg.evaluation.statistics.comparison import COMPARISON_COLUMNS, compare
from contrastseg.evaluation.statistics.critical import CRITICAL_COLUMNS, critical_table
from contrastseg.evaluation.statistics.draws import DRAW_COLUMNS, common_draws, draw_table
from contrastseg.evaluation.statistics.pairwise import PAIR_COLUMNS, pairwise
from contrastseg.evaluation.statistics.ranking import RANKING_COLUMNS, ranking_table
from contrastseg.evaluation.statistics.summary import SUMMARY_COLUMNS, summarise
from contrastseg.evaluation.statistics.variance_table import VARIANCE_COLUMNS, variance_table
from contrastseg.evaluation.statistics.verdicts import VERDICTS

__all__ = [
    "COMPARISON_COLUMNS",
    "CRITICAL_COLUMNS",
    "DRAW_COLUMNS",
    "MEAN",
    "PAIR_COLUMNS",
    "RANKING_COLUMNS",
    "SUMMARY_COLUMNS",
    "VARIANCE_COLUMNS",
    "VERDICTS",
    "common_draws",
    "compare",
    "critical_table",
    "draw_table",
    "pairwise",
    "per_patient",
    "per_replicate",
    "ranking_table",
    "summarise",
    "variance_table",
]
