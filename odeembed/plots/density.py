"""A density in the plane: the points it was fitted to, the points it draws, itself, and how it comes about in time."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from odeembed.plots.figure import PALETTE, mosaic

_ACROSS = 5  # frames side by side


def density_and_path(
    points: Float[np.ndarray, "n 2"],
    drawn: Float[np.ndarray, "m 2"],
    density: Float[np.ndarray, "g g"],
    reach: float,
    path: Float[np.ndarray, "k t 2"],
    ts: Sequence[float],
) -> Figure:
    """Draws the three side by side, and below them the same bases at each of their times.

    Args:
      points: of the data; drawn: of the model.
      density: of the model on a square grid over [-reach, reach]^2, the second coordinate first.
      path: of bases, at the times ts, a multiple of five.
    """
    frames = [f"frame {number}" for number in range(len(ts))]
    rows = [[name for name in ("data", "drawn", "density") for _ in range(_ACROSS)]]
    for start in range(0, len(frames), _ACROSS):
        rows.append([name for name in frames[start : start + _ACROSS] for _ in range(3)])
    figure, axes = mosaic(rows, 8.0, 2.9 + 1.8 * (len(rows) - 1))
    _scatter(axes["data"], points, reach, "data")
    _scatter(axes["drawn"], drawn, reach, "drawn from the model")
    axes["density"].imshow(density, origin="lower", extent=(-reach, reach, -reach, reach), cmap="Blues")
    axes["density"].set_title("density of the model", fontsize=9)
    for number, name in enumerate(frames):
        _scatter(axes[name], path[:, number], reach, f"t = {ts[number]:.2g}")
    for ax in axes.values():
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
    return figure


def _scatter(ax: Axes, points: Float[np.ndarray, "n 2"], reach: float, title: str) -> None:
    ax.scatter(*points.T, s=1.0, color=PALETTE[0], alpha=0.4, linewidths=0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set_title(title, fontsize=9)
