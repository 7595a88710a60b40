"""Training curves: the loss, and a held-out metric, by step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from odeembed.plots.figure import panels, style

Record = Mapping[str, Any]


def training_curves(
    runs: Mapping[str, Sequence[Record]], metric: str = "perplexity", unit: str = "nats a token"
) -> Figure:
    """Draws the training loss beside a held-out metric, a line each run.

    Args:
      runs: for each label the lines of its metrics.jsonl.
      metric: key of the held-out lines.
      unit: of the training loss.
    """
    figure, (left, right) = panels(2, width=8.0)
    for number, (label, records) in enumerate(runs.items()):
        for ax, kind, key in ((left, "train", "loss"), (right, "eval", metric)):
            found = [
                (record["step"], record[key])
                for record in records
                if record["kind"] == kind and key in record
            ]
            steps, values = np.array(found, np.float64).reshape(-1, 2).T
            marker = "o" if kind == "eval" else None
            ax.plot(steps, values, label=label, marker=marker, markersize=3, linewidth=1.4, **style(number))
    left.set(xlabel="step", ylabel=f"training loss ({unit})")
    right.set(xlabel="step", ylabel=f"held-out {metric}")
    if metric == "perplexity":
        right.set_yscale("log")
    right.legend(frameon=False)
    return figure
