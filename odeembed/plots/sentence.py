"""One sentence as a path in time: the probability of the likeliest words at and between its tokens."""

import numpy as np
from matplotlib.figure import Figure

from odeembed.evaluate.sentence_path import SentencePath
from odeembed.plots.figure import GREY, panels, style


def path_in_time(path: SentencePath) -> Figure:
    """Draws a line for each word; below stand the tokens at their times, hidden ones in brackets in a shaded band."""
    figure, (ax,) = panels(width=max(6.4, 0.75 * len(path.tokens)), height=3.4)
    for place in np.flatnonzero(~path.visible):
        ax.axvspan(place - 0.5, place + 0.5, color="#F1F1F1", linewidth=0, zorder=0)
    for number, word in enumerate(path.words):
        ax.plot(path.times, path.probability[:, number], label=word, linewidth=1.6, **style(number))
    names = [token if seen else f"[{token}]" for token, seen in zip(path.tokens, path.visible, strict=True)]
    ax.set_xticks(np.arange(len(names)), names, rotation=30, ha="right")
    ax.set(xlabel="time (tokens)", ylabel="probability", ylim=(0, None), xlim=(path.times[0], path.times[-1]))
    ax.tick_params(axis="x", color=GREY)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
