"""Interpolation quality by the length of the gap, and by the time at which a hidden token is read."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from odeembed.plots.figure import HATCHES, PALETTE, panels, style

Metrics = Mapping[str, float | None]


def by_gap(
    models: Mapping[str, Metrics], metric: str = "perplexity", gaps: Sequence[int] = (1, 2, 4, 8)
) -> Figure:
    """Draws bars of `<metric>/gap<g>` for each gap length, one bar a model; a value that is not there has no bar."""
    figure, (ax,) = panels()
    width = 0.8 / max(len(models), 1)
    for number, (label, metrics) in enumerate(models.items()):
        heights = [metrics.get(f"{metric}/gap{gap}") for gap in gaps]
        places = np.arange(len(gaps)) + (number - (len(models) - 1) / 2) * width
        ax.bar(
            places,
            [np.nan if height is None else height for height in heights],
            width * 0.92,
            label=label,
            color=PALETTE[number % len(PALETTE)],
            hatch=HATCHES[number % len(HATCHES)],
            edgecolor="white",
        )
    ax.set_xticks(np.arange(len(gaps)), [str(gap) for gap in gaps])
    ax.set(xlabel="length of the gap (tokens)", ylabel=metric)
    ax.legend(frameon=False)
    return figure


def by_shift(models: Mapping[str, Metrics]) -> Figure:
    """Draws the accuracy of hidden tokens read before, at and after their time, a line a model.

    Where `accuracy/shift+0`, on the same tokens as the other shifts, is not there, `accuracy` stands in its place.
    """
    figure, (ax,) = panels()
    for number, (label, metrics) in enumerate(models.items()):
        prefix = "accuracy/shift"
        measured = {
            float(key.removeprefix(prefix)): value
            for key, value in ({f"{prefix}+0": metrics.get("accuracy")} | dict(metrics)).items()
            if key.startswith(prefix) and value is not None
        }
        shifts, accuracies = zip(*sorted(measured.items()), strict=True)
        ax.plot(shifts, accuracies, label=label, marker="o", markersize=4, **style(number))
    ax.set(xlabel="time of reading less time of the token (tokens)", ylabel="accuracy", ylim=(0, None))
    ax.legend(frameon=False)
    return figure
