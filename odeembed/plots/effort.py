"""What a classifier by an equation costs: error and time by the exactness of its solves, memory by their length."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from odeembed.evaluate.classified import Effort
from odeembed.plots.figure import panels, style

_LABELS = {"rtol": "tolerance", "steps": "steps"}


def error_and_time(efforts: Sequence[Effort]) -> Figure:
    """Draws the error, the evaluations and the time an example over the tolerance or the steps of one trained model.

    Args:
      efforts: as `LabelScores.efforts` returns them.
    """
    figure, axes = panels(3, width=9.0, height=3.0)
    setting, values = efforts[0].setting, [effort.value for effort in efforts]
    columns = (
        ("error, %", [100 * effort.error for effort in efforts]),
        ("evaluations of the field", [effort.evaluations for effort in efforts]),
        ("milliseconds an example", [effort.milliseconds for effort in efforts]),
    )
    for number, (ax, (label, heights)) in enumerate(zip(axes, columns, strict=True)):
        ax.plot(values, heights, marker="o", markersize=4, **style(number))
        ax.set(xlabel=_LABELS[setting], ylabel=label, xscale="log")
        ax.set_ylim(0, 1.1 * max(*heights, 1e-9))
        if setting == "rtol":
            ax.invert_xaxis()  # to the right what costs more
    return figure


def memory_over_evaluations(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws temporary memory over evaluations, a line a method.

    Args:
      rows: each with `method`, `evaluations` and `bytes`.
    """
    figure, (ax,) = panels()
    names = list(dict.fromkeys(row["method"] for row in rows))
    for number, name in enumerate(names):
        points = sorted((row["evaluations"], row["bytes"] / 2**20) for row in rows if row["method"] == name)
        xs, ys = zip(*points, strict=True)
        # Methods can lie on each other: the marks of the later ones are smaller, so that all are seen.
        size = 9 - 6 * number / max(len(names) - 1, 1)
        ax.plot(xs, ys, label=name, marker="o", markersize=size, **style(number))
    ax.set(xlabel="evaluations of the field", ylabel="temporary memory (MiB)", xscale="log", yscale="log")
    ax.legend(frameon=False)
    return figure
