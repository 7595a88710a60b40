"""What gradient methods cost: memory over the steps of a grid, error over the tolerance of adaptive steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from odeembed.plots.figure import panels, style

Row = Mapping[str, Any]


def costs(rows: Sequence[Row]) -> Figure:
    """Draws temporary memory over steps beside the error of the gradient over tolerance, a line a method.

    Args:
      rows: as `odeembed.evaluate.adjoints.measure` returns them; what was left out is a gap.
    """
    figure, axes = panels(2, width=8.0)
    names = list(dict.fromkeys(row["method"] for row in rows))
    for number, name in enumerate(names):
        for ax, (x, y), scale in zip(axes, (("steps", "bytes"), ("rtol", "error")), (2**20, 1), strict=True):
            points = sorted(
                (row[x], row[y] / scale)
                for row in rows
                if row["method"] == name and row[x] is not None and row.get(y) is not None
            )
            xs, ys = zip(*points, strict=True) if points else ((), ())
            # Methods can lie on each other: the marks of the later ones are smaller, so that all are seen.
            size = 9 - 6 * number / max(len(names) - 1, 1)
            ax.plot(xs, ys, label=name, marker="o", markersize=size, **style(number))
    left, right = axes
    left.set(xlabel="steps of the grid", ylabel="temporary memory (MiB)", xscale="log", yscale="log")
    right.set(
        xlabel="relative tolerance", ylabel="relative error of the gradient", xscale="log", yscale="log"
    )
    right.invert_xaxis()
    left.legend(frameon=False)
    return figure


def described(rows: Sequence[Row]) -> str:
    """A sentence for those who cannot see the picture."""
    names = ", ".join(dict.fromkeys(row["method"] for row in rows))
    return f"Temporary memory of a gradient over steps, and its error over the tolerance, by {names}."
