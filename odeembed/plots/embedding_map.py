"""A map of word vectors: their two directions of largest variance, with the words written in."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from odeembed.evaluate.vectors import Plane, WordVectors, main_plane
from odeembed.plots.figure import PALETTE, panels

Label = tuple[str, np.ndarray, str]  # word, place [2], colour


def embedding_map(vectors: WordVectors, groups: Sequence[Sequence[str]], background: int = 1000) -> Figure:
    """Draws the words of each group in a colour of its own, over the most frequent words as grey dots.

    The directions are those of the words drawn by name, unit vectors; words without a vector are left out.
    """
    known = [[word for word in group if vectors.find(word) is not None] for group in groups]
    named = project(vectors, [word for group in known for word in group])
    figure, (ax,) = panels(width=6.4, height=5.2)
    frequent = np.argsort(-vectors.counts, kind="stable")[:background]
    cloud = (vectors.unit[frequent] - named.centre) @ named.directions.T
    ax.scatter(*cloud.T, s=4, color="#DDDDDD", linewidths=0, rasterized=True)
    labels: list[Label] = []
    start = 0
    for number, group in enumerate(known):
        places = named.places[start : start + len(group)]
        start += len(group)
        color = PALETTE[number % len(PALETTE)]
        ax.scatter(*places.T, s=14, color=color, linewidths=0)
        labels += [(word, place, color) for word, place in zip(group, places, strict=True)]
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    _write(figure, ax, labels)
    return figure


def _write(figure: Figure, ax: Axes, labels: Sequence[Label], size: float = 8.0) -> None:
    """Writes each label beside its point, on the side of six where it crosses the fewest points and labels."""
    figure.draw_without_rendering()  # settles the layout, which the places in points depend on
    point = figure.dpi / 72
    points = [ax.transData.transform(place) / point for _, place, _ in labels]
    taken = [Bbox.from_bounds(x - 2, y - 2, 4, 4) for x, y in points]
    for (word, place, color), (x, y) in zip(labels, points, strict=True):
        width, height = 0.6 * size * len(word), 1.2 * size
        sides = [(3, 3), (3, -3 - height), (-3 - width, 3), (-3 - width, -3 - height)]
        sides += [(-width / 2, 4), (-width / 2, -4 - height)]
        boxes = [Bbox.from_bounds(x + dx, y + dy, width, height) for dx, dy in sides]
        best = min(range(len(boxes)), key=lambda side, boxes=boxes: boxes[side].count_overlaps(taken))
        taken.append(boxes[best])
        ax.annotate(
            word,
            (place[0], place[1]),
            xytext=sides[best],
            textcoords="offset points",
            fontsize=size,
            color=color,
        )


def project(vectors: WordVectors, words: Sequence[str]) -> Plane:
    """Projects the unit vectors of some words onto their two principal directions, whose signs are fixed.

    Raises:
      UnknownWordError: a word has no vector.
    """
    return main_plane(vectors.unit[[vectors.row(word) for word in words]])
