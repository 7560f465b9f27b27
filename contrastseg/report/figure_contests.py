"""What the figures of rankings and tests share: which panels there are, in which order, and how they are titled."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.report.naming import budget_order, budget_title, in_order
from contrastseg.report.table_model import Material

Pair = tuple[str, str]


def place_order(place: tuple[str, ...], material: Material) -> tuple[object, ...]:
    """Sort key of a contest's place: data sets in the suite's order, label budgets ascending."""
    datasets = in_order({place[0], *material.facts.datasets}, material.facts.datasets)
    return (datasets.index(place[0]), place[0], place[1], place[2], budget_order(place[4]))


def place_title(place: tuple[str, ...], material: Material) -> str:
    """Data set above, label budget below."""
    dataset, evaluated_on, checkpoint, _, labels = place
    budget = budget_title(labels, material.labelled(dataset, labels))
    return f"{material.block_title(dataset, evaluated_on, checkpoint)}\n{budget}"


def in_suites_order(methods: list[Pair], material: Material) -> list[int]:
    """Places of the methods in the suite's order, variants behind their method's default."""
    order = material.method_order([method for method, _ in methods])
    return sorted(
        range(len(methods)), key=lambda i: (order.index(methods[i][0]), methods[i][1] != "default", methods[i])
    )


def panels(width: float, count: int, rows: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes for at most `rows` rows each; more beside each other the fewer rows they have.

    Args:
        width: In inches.
        count: Axes; what is left over of the grid is hidden.
        rows: The most methods in a panel, which are its rows.
    """
    across = min(count, 2 if rows <= 12 else 1)
    down = -(-count // across)
    figure = Figure(figsize=(width, (0.75 + 0.2 * max(rows, 4)) * down + 0.5), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    return figure, list(axes.flat[:count])
