"""Series and what a model makes of them: what was seen, what is true, and the model's paths between and beyond."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from odeembed.plots.figure import panels, style


def paths_in_the_plane(
    seen: Sequence[Float[np.ndarray, "_ 2"]],
    truth: Mapping[str, Float[np.ndarray, "n m 2"]],
    found: Mapping[str, Float[np.ndarray, "n m 2"]],
) -> Figure:
    """Draws a panel for each of n series in the plane: its points, its true path, and the model's by name.

    Args:
      seen: what was seen of each.
      truth: the true paths, by the names of the stretches of time.
      found: the model's, for some of these names.
    """
    figure, axes = panels(len(seen), width=2.6 * len(seen), height=2.9)
    for number, (ax, points) in enumerate(zip(axes, seen, strict=True)):
        for name, path in truth.items():
            label = "truth" if name == next(iter(truth)) else None
            ax.plot(*path[number].T, color="0.75", linewidth=3, label=label, zorder=1)
        ax.scatter(*points.T, s=6, color="0.25", label="seen", zorder=3)
        for line, (name, path) in enumerate(found.items()):
            ax.plot(*path[number].T, linewidth=1.5, label=name, zorder=2, **style(line))
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.grid(visible=False)
        ax.axis("off")
    return _with_legend(figure)


def channels_over_time(
    times: Sequence[Float[np.ndarray, " _"]],
    seen: Sequence[Float[np.ndarray, "_ c"]],
    ts: Sequence[Float[np.ndarray, " _"]],
    found: Sequence[Float[np.ndarray, "_ c"]],
    names: Sequence[str],
) -> Figure:
    """Draws a panel for each series: some channels as they were seen, and the model's means over time.

    Args:
      times, seen: what was seen of each series, NaN where a channel was not.
      ts, found: the model's means.
      names: of the channels drawn.
    """
    figure, axes = panels(len(seen), width=3.0 * len(seen), height=2.9)
    for number, ax in enumerate(axes):
        for channel, name in enumerate(names):
            look = style(channel)
            ax.scatter(times[number], seen[number][:, channel], s=8, color=look["color"], zorder=3)
            ax.plot(ts[number], found[number][:, channel], label=name, linewidth=1.2, **look)
        ax.set(xlabel="time")
    return _with_legend(figure)


def _with_legend(figure: Figure) -> Figure:
    """The figure with the names of its first panel's lines below all panels."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8)
    return figure
