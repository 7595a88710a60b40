"""A decoder's path through one sentence: what it would say when, how fast it moves, where it goes, what it looks at."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from odeembed.evaluate.trajectory import Trajectory
from odeembed.plots.figure import GREY, PALETTE, mosaic, save, style


def trajectory_picture(path: Trajectory) -> Figure:
    """Draws four panels; that of the attention is left out where there is none.

    The probabilities of words, hand-overs as thin lines; the speed; the path in the plane of its two main directions, a
    dot at each token's time and dotted lines for jumps; and the attention, the darker the more.
    """
    rows = [["words", "plane"], ["speed", "plane" if path.attention is None else "attention"]]
    figure, axes = mosaic(rows, width=max(9.6, 1.3 * len(path.said) + 3.2), height=6.4)
    for number, word in enumerate(path.words):
        axes["words"].plot(
            path.times, path.probability[:, number], label=word, linewidth=1.6, **style(number)
        )
    for handover in path.handovers:
        axes["words"].axvline(handover.time, color=GREY, linewidth=0.6, zorder=0)
    axes["words"].set(ylabel="probability", ylim=(0, 1.02))
    columns = min(len(path.words), 6)
    axes["words"].legend(
        frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, fontsize=8
    )
    for way in _ways(path.times):
        axes["speed"].plot(path.times[way], path.speed[way], color=PALETTE[0], linewidth=1.4)
    axes["speed"].set(xlabel="time (tokens)", ylabel="speed |dh/dt|", ylim=(0, None))
    for name in ("words", "speed"):
        _tokens_below(axes[name], path)
    _draw_plane(axes["plane"], path)
    if path.attention is not None:
        _draw_attention(axes["attention"], path)
    return figure


def save_trajectory(path: Trajectory, file: Path) -> Path:
    """Draws a trajectory into a file."""
    return save(trajectory_picture(path), file, described(path))


def described(path: Trajectory) -> str:
    """A sentence or two for those who cannot see the picture."""
    said = " ".join(token.word for token in path.said)
    changes = ", ".join(
        f"{change.before} to {change.after} at {change.time:.2f}" for change in path.handovers
    )
    looks = "" if path.attention is None else ", and its attention to each word of the source"
    return (
        f'The decoder\'s path while it says "{said}" for "{" ".join(path.source)}": the probability of '
        f"{', '.join(path.words)} at and between the tokens, the speed of its state, its way in the plane of two main "
        f"directions{looks}. Words hand over: {changes or 'none'}."
    )


def _ways(times: np.ndarray) -> list[slice]:
    """From just after each jump to just before the next: a time that stands there twice parts two of them."""
    cuts = [0, *(np.flatnonzero(np.diff(times) == 0) + 1).tolist(), len(times)]
    return [slice(start, stop) for start, stop in pairwise(cuts)]


def _tokens_below(ax: Axes, path: Trajectory) -> None:
    ax.set_xticks(
        [token.time for token in path.said], [token.word for token in path.said], rotation=30, ha="right"
    )
    ax.tick_params(axis="x", color=GREY)
    ax.set_xlim(path.times[0], path.times[-1])


def _draw_plane(ax: Axes, path: Trajectory) -> None:
    ways = _ways(path.times)
    for way, after in zip(ways, [*ways[1:], None], strict=True):
        ax.plot(*path.plane[way].T, color=PALETTE[0], linewidth=1.2)
        if after is not None:
            jump = path.plane[[way.stop - 1, after.start]]
            ax.plot(*jump.T, color=GREY, linewidth=0.9, linestyle=":")
    for way, token in zip(ways, path.said, strict=False):
        x, y = path.plane[way.stop - 1].tolist()
        ax.plot(x, y, marker="o", markersize=4, color=PALETTE[1])
        ax.annotate(token.word, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
    names = ("first", "second")
    labels = [f"{name} direction ({share:.0%})" for name, share in zip(names, path.variance, strict=True)]
    ax.set(xlabel=labels[0], ylabel=labels[1])


def _draw_attention(ax: Axes, path: Trajectory) -> None:
    # One column a time, that before a jump where there are two.
    first = np.flatnonzero(np.diff(path.times, prepend=-np.inf) > 0)
    half = (path.times[1] - path.times[0]) / 2
    extent = (path.times[0] - half, path.times[-1] + half, len(path.source) - 0.5, -0.5)
    assert path.attention is not None
    ax.imshow(path.attention[first].T, aspect="auto", cmap="Blues", vmin=0, vmax=1, extent=extent)
    ax.grid(visible=False)
    ax.set_yticks(range(len(path.source)), list(path.source))
    _tokens_below(ax, path)
    ax.set(xlabel="time (tokens)", ylabel="attended to")
