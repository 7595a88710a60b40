"""How fast methods converge: error over evaluations, a panel a problem."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from odeembed.plots.figure import PALETTE, panels, style

Row = Mapping[str, Any]


def convergence(rows: Sequence[Row]) -> Figure:
    """Draws the error at the end over the evaluations that it took, a line a method.

    Args:
      rows: as `odeembed.evaluate.orders.measure` returns them.
    """
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure, axes = panels(len(problems), width=4.2 * len(problems) + 1.4)
    for ax, problem in zip(axes, problems, strict=True):
        for number, method in enumerate(methods):
            found = [row for row in rows if (row["problem"], row["method"]) == (problem, method)]
            points = [(row["evaluations"], row["error"]) for row in found if row["error"] > 0]
            label = f"{method} ({found[0]['order']})" if found else method
            ax.plot(
                *zip(*points, strict=True), label=label, marker=_marker(number), markersize=4, **style(number)
            )
        ax.set(
            xlabel="evaluations of the field", ylabel="relative error at the end", xscale="log", yscale="log"
        )
        ax.set_title(problem, fontsize=9)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, title="(order)"
    )
    return figure


def _marker(number: int) -> str:
    """Another one where colours and dashes begin again."""
    return "os^"[number // len(PALETTE) % 3]


def described(rows: Sequence[Row]) -> str:
    """A sentence for those who cannot see the picture."""
    names = ", ".join(dict.fromkeys(row["method"] for row in rows))
    return f"Error at the end of a path over the evaluations that it took, by {names}."
