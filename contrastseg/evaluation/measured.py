"""Measured with 100 repetitions each: coverage of intervals, and differences that can be found.

Written by `python benchmarks/statistics/measure.py`; docs/statistics.md says what was simulated. A module,
not a file of data, so that what is made from these numbers is remade when they change.
"""

NAN = float("nan")
LEVEL = 0.05
# Shape of the scores, and whether there is 1 run or several (2): the columns of COVERAGE.
SHAPES = (
    ("overlap", 1),
    ("overlap", 2),
    ("overlap, some missed", 1),
    ("overlap, some missed", 2),
    ("distance", 1),
    ("distance", 2),
    ("distance, some missed", 1),
    ("distance, some missed", 2),
)
# Patients: share of nominal 95 % intervals that held the truth.
COVERAGE = {
    2: (0.94, 0.93, 0.95, 0.86, 0.92, 0.96, 0.89, 0.91),
    3: (0.95, 0.98, 0.9, 0.85, 0.93, 0.9, 0.61, 0.67),
    4: (0.96, 0.96, 0.81, 0.87, 0.88, 0.96, 0.61, 0.55),
    5: (0.96, 0.94, 0.87, 0.83, 0.91, 0.89, 0.46, 0.44),
    6: (0.94, 0.94, 0.82, 0.86, 0.95, 0.88, 0.52, 0.46),
    8: (0.95, 0.93, 0.81, 0.77, 0.92, 0.93, 0.49, 0.48),
    10: (0.93, 0.95, 0.83, 0.77, 0.92, 0.93, 0.56, 0.55),
    12: (0.96, 0.98, 0.75, 0.84, 0.86, 0.89, 0.59, 0.6),
    15: (0.92, 0.95, 0.91, 0.79, 0.9, 0.93, 0.71, 0.72),
    20: (0.97, 0.9, 0.82, 0.83, 0.88, 0.9, 0.81, 0.83),
    25: (0.97, 0.97, 0.8, 0.9, 0.9, 0.92, 0.85, 0.88),
    30: (0.94, 0.97, 0.93, 0.9, 0.92, 0.94, 0.93, 0.91),
    40: (0.97, 0.98, 0.89, 0.91, 0.86, 0.91, 0.94, 0.87),
    50: (0.96, 1.0, 0.97, 0.92, 0.92, 0.93, 0.9, 0.94),
    75: (0.95, 0.95, 0.95, 0.92, 0.96, 0.96, 0.96, 0.95),
    100: (0.98, 0.94, 0.92, 0.96, 0.91, 0.94, 0.92, 0.96),
    200: (0.93, 0.94, 0.95, 0.95, 0.95, 0.94, 0.95, 0.96),
}
# Tests of the family: the columns of DETECTABLE.
FAMILIES = (1, 2, 3, 5, 10, 20, 50, 100, 200)
# Patients: shift in standard deviations of the differences that is found in 4 of 5 cases.
DETECTABLE = {
    6: (1.9, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN),
    7: (1.4, 1.85, 1.85, NAN, NAN, NAN, NAN, NAN, NAN),
    8: (1.2, 1.4, 1.5, 1.8, NAN, NAN, NAN, NAN, NAN),
    9: (1.15, 1.3, 1.5, 1.65, 1.95, NAN, NAN, NAN, NAN),
    10: (0.95, 1.15, 1.25, 1.35, 1.65, 2.05, NAN, NAN, NAN),
    12: (1.0, 1.1, 1.15, 1.25, 1.4, 1.55, 1.85, 2.2, NAN),
    14: (0.85, 0.95, 1.0, 1.1, 1.25, 1.3, 1.55, 1.8, 1.95),
    16: (0.8, 0.9, 0.95, 1.0, 1.1, 1.2, 1.35, 1.4, 1.5),
    18: (0.65, 0.8, 0.8, 0.9, 1.0, 1.05, 1.2, 1.25, 1.4),
    20: (0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1, 1.2, 1.25),
    25: (0.65, 0.75, 0.75, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1),
    30: (0.55, 0.65, 0.65, 0.7, 0.75, 0.85, 0.9, 0.95, 1.0),
    40: (0.5, 0.55, 0.6, 0.6, 0.65, 0.7, 0.75, 0.8, 0.8),
    50: (0.45, 0.5, 0.5, 0.55, 0.55, 0.6, 0.65, 0.65, 0.7),
    75: (0.35, 0.4, 0.4, 0.45, 0.45, 0.5, 0.55, 0.55, 0.6),
    100: (0.3, 0.35, 0.35, 0.4, 0.4, 0.45, 0.45, 0.5, 0.5),
    200: (0.25, 0.25, 0.25, 0.25, 0.3, 0.3, 0.35, 0.35, 0.35),
}
