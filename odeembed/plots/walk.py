"""A walk between two sentences: what stands on the way, whose words it has, and how far it is from either end."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from odeembed.evaluate.walks import edit_distance
from odeembed.plots.figure import GREY, PALETTE, panels, save, style

_SHOWN = 72  # characters of a sentence


def walk_picture(shares: Sequence[float], sentences: Sequence[str]) -> Figure:
    """Draws the distance in words to either end; beside each point its sentence, bold at the ends.

    The colour of a sentence is that of the end it shares more words with, grey where that is neither.
    """
    first, last = distances(sentences)
    figure, (ax,) = panels(width=9.6, height=max(2.4, 0.42 * len(sentences)))
    places = np.arange(len(sentences))
    for number, (values, name) in enumerate(((first, "to the first"), (last, "to the last"))):
        ax.plot(values, places, marker="o", markersize=3, label=name, **style(number))
    ax.set_yticks(places, [f"{share:.2f}" for share in shares])
    ax.set(xlabel="edit distance (words)", ylabel="share of the way", ylim=(len(sentences) - 0.5, -0.5))
    ax.set_xlim(0, None)
    for place, sentence in zip(places, sentences, strict=True):
        shown = sentence if len(sentence) <= _SHOWN else sentence[: _SHOWN - 1] + "…"
        nearer = GREY if first[place] == last[place] else PALETTE[int(last[place] < first[place])]
        weight = "bold" if place in (0, len(sentences) - 1) else "normal"
        ax.annotate(
            shown,
            (1.02, place),
            xycoords=ax.get_yaxis_transform(),
            va="center",
            color=nearer,
            fontsize=8,
            fontweight=weight,
            annotation_clip=False,
        )
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8)
    return figure


def save_walk(shares: Sequence[float], sentences: Sequence[str], path: Path) -> Path:
    """Draws a walk into a file."""
    return save(walk_picture(shares, sentences), path, described(sentences))


def described(sentences: Sequence[str]) -> str:
    """A sentence for those who cannot see the picture."""
    return f"A walk in {len(sentences)} steps from '{sentences[0]}' to '{sentences[-1]}'."


def distances(sentences: Sequence[str]) -> tuple[list[int], list[int]]:
    """Edit distances in words of each sentence to the first and to the last."""
    words = [sentence.split() for sentence in sentences]
    first, last = ([edit_distance(some, end) for some in words] for end in (words[0], words[-1]))
    return first, last
