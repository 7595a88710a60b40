"""What a regulariser saves and what it costs: evaluations of the field against held-out perplexity."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from odeembed.plots.figure import panels, style


def evaluations_curve(kinds: Mapping[str, Sequence[tuple[float, float, float]]]) -> Figure:
    """Draws a line for each kind of regulariser, its points marked with their weights; weight 0 is where all begin.

    Args:
      kinds: for each kind the weight, the evaluations a sentence and the perplexity of its points, in order of weight.
    """
    figure, (ax,) = panels()
    regularised = {kind: points for kind, points in kinds.items() if kind != "none"}
    for number, (kind, points) in enumerate(regularised.items()):
        weights, evaluations, perplexities = np.array(points, np.float64).T
        ax.plot(evaluations, perplexities, label=kind, marker="o", markersize=4, **style(number))
        for weight, x, y in zip(weights, evaluations, perplexities, strict=True):
            if weight:
                ax.annotate(f"{weight:g}", (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    for _, *place in kinds.get("none", []):
        ax.plot(*place, label="none", marker="s", color="black", linestyle="none")
    ax.set(xlabel="evaluations of the field a sentence", ylabel="held-out perplexity")
    ax.legend(frameon=False)
    return figure
