"""Charts that one can point at and zoom into, as plotly.js draws them: curves, bars, the map of the words.

Each is the data of a widget: a dict of `traces`, `layout` and `text`, the sentence for those who cannot see it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odeembed.evaluate.sentence_path import SentencePath
from odeembed.evaluate.trajectory import Trajectory
from odeembed.evaluate.vectors import WordVectors
from odeembed.pages.facts import Facts
from odeembed.pages.page import label
from odeembed.plots.embedding_map import project
from odeembed.plots.run import DensityInTime, curves_of

Record = Mapping[str, Any]
_DIGITS = 5  # of a number in a page


def curve(
    runs: Mapping[str, Sequence[Record]], kind: str, metric: str, title: str, log: bool = False
) -> dict[str, Any] | None:
    """A metric by step, a line a run; None where no run has it.

    Args:
      runs: for each name the lines of its metrics.jsonl.
      kind: of line, "train" or "eval".
      title: of the vertical axis.
    """
    traces = []
    for number, (name, records) in enumerate(runs.items()):
        found = [
            (record["step"], record[metric])
            for record in records
            if record["kind"] == kind and record.get(metric) is not None
        ]
        if found:
            steps, values = zip(*found, strict=True)
            mode = "lines+markers" if kind == "eval" else "lines"
            traces.append(_line(steps, _rounded(values), name, number, mode=mode))
    if not traces:
        return None
    return {
        "traces": traces,
        "layout": {
            "xaxis": {"title": {"text": "step"}},
            "yaxis": {"title": {"text": title}} | ({"type": "log"} if log else {}),
            "showlegend": len(runs) > 1,
        },
        "text": f"{title} by step, of {', '.join(runs)}.",
    }


def training(runs: Sequence[Facts]) -> list[dict[str, Any]]:
    """Loss, held-out metric, evaluations, throughput and learning rate by step, a line a run."""
    lines = {run.name: run.records for run in runs}
    metrics = dict.fromkeys(curves_of(run.experiment.model) for run in runs)
    units = ", ".join(dict.fromkeys(unit for _, unit in metrics))
    entries = getattr(runs[0].experiment.data, "entries", "tokens")
    wanted = [("train", "loss", f"training loss ({units})", False)]
    wanted += [("eval", metric, f"held-out {metric}", metric == "perplexity") for metric, _ in metrics]
    wanted += [
        ("train", "solver/evaluations", "evaluations of the field a solve", False),
        ("train", "gradient_norm", "norm of the gradient", True),
        ("train", "tokens_per_second", f"{entries} a second", False),
        ("train", "learning_rate", "learning rate", False),
    ]
    return [found for one in wanted if (found := curve(lines, *one)) is not None]


def bars(names: Sequence[str], values: Sequence[float | None], x: str, y: str) -> dict[str, Any]:
    """A bar for each name; x and y are the titles of the axes."""
    traces = [{"type": "bar", "x": list(map(label, names)), "y": _rounded(values)}]
    axes = {"xaxis": {"title": {"text": x}, "type": "category"}, "yaxis": {"title": {"text": y}}}
    return {"traces": traces, "layout": axes, "text": f"{y} by {x}."}


def shares(parts: Mapping[str, float], unit: str) -> dict[str, Any]:
    """What a whole is made of, as one bar."""
    traces = [
        {"type": "bar", "orientation": "h", "y": [""], "x": [_rounded([value])[0]], "name": label(name)}
        for name, value in parts.items()
    ]
    layout = {"barmode": "stack", "height": 160, "xaxis": {"title": {"text": unit}}}
    return {
        "traces": traces,
        "layout": layout,
        "text": ", ".join(f"{name} {value:.3g}" for name, value in parts.items()),
    }


def word_map(vectors: WordVectors, groups: Sequence[Sequence[str]], background: int = 1500) -> dict[str, Any]:
    """The most frequent words in the plane of the main directions of the groups' words, which are written out."""
    known = [[word for word in group if vectors.find(word) is not None] for group in groups]
    named = project(vectors, [word for group in known for word in group])
    frequent = np.argsort(-vectors.counts, kind="stable")[:background]
    cloud = (vectors.unit[frequent] - named.centre) @ named.directions.T
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": _rounded(cloud[:, 0], 3),
            "y": _rounded(cloud[:, 1], 3),
            "text": [label(vectors.words[row]) for row in frequent],
            "hoverinfo": "text",
            "marker": {"size": 4, "color": "#BBBBBB"},
            "showlegend": False,
        }
    ]
    start = 0
    for group in known:
        places = named.places[start : start + len(group)]
        start += len(group)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": _rounded(places[:, 0], 3),
                "y": _rounded(places[:, 1], 3),
                "text": list(map(label, group)),
                "hoverinfo": "text",
                "textposition": "top center",
                "name": label(group[0]),
            }
        )
    blank = {"visible": False}
    layout = {"xaxis": blank, "yaxis": blank, "height": 560, "dragmode": "pan", "scrollZoom": True}
    layout["legend"] = {"title": {"text": "nearest to"}}
    text = f"{len(frequent)} words in the plane; written out: {', '.join(word for group in known for word in group)}."
    return {"traces": traces, "layout": layout, "text": text}


def sentence(path: SentencePath) -> dict[str, Any]:
    """An interpolator's path through a sentence, for the widget with the slider through time."""
    hidden = path.hidden
    return {
        "tokens": list(path.tokens),
        "visible": path.visible.tolist(),
        "ticks": list(range(len(path.tokens))),
        "times": _rounded(path.times),
        "words": list(path.words),
        "probability": [_rounded(row) for row in path.probability],
        "likeliest": [list(row) for row in path.likeliest],
        "chances": [_rounded(row) for row in path.chances],
        "plane": [_rounded(row, 4) for row in hidden.plane],
        "variance": list(hidden.variance),
        "places": [_rounded(row, 4) for row in hidden.places],
        "field": [[_rounded(row, 4) for row in moment] for moment in hidden.field],
    }


def said(path: Trajectory) -> dict[str, Any]:
    """A decoder's path while it says a sentence, for the same widget."""
    order = np.argsort(-path.probability, axis=1, kind="stable")
    return {
        "tokens": [token.word for token in path.said],
        "visible": [True for _ in path.said],
        "ticks": [token.time for token in path.said],
        "times": _rounded(path.times),
        "words": list(path.words),
        "probability": [_rounded(row) for row in path.probability],
        "likeliest": [[path.words[number] for number in row] for row in order],
        "chances": [_rounded(row) for row in np.take_along_axis(path.probability, order, axis=1)],
        "plane": [_rounded(row, 4) for row in path.plane],
        "variance": list(path.variance),
        "places": [],
        "field": [[]],
        "source": list(path.source),
    }


def moving(found: DensityInTime, points: int = 1000) -> dict[str, Any]:
    """Draws of a flow on their way from noise to data, for the widget that moves them."""
    frames = np.moveaxis(found.path[:points], 1, 0)
    return {
        "points": [_rounded(column, 3) for column in found.points[:points].T],
        "frames": [[_rounded(column, 3) for column in frame.T] for frame in frames],
        "ts": _rounded(found.ts),
        "reach": round(found.reach, 3),
    }


def _line(x: Sequence[int], y: Sequence[float | None], name: str, number: int, mode: str) -> dict[str, Any]:
    return {"type": "scatter", "mode": mode, "x": list(x), "y": list(y), "name": label(name), "style": number}


def _rounded(values: Any, digits: int | None = None) -> list[float | None]:
    """Numbers with few digits: significant ones, or after the point."""
    if digits is not None:
        return np.round(np.asarray(values, np.float64), digits).tolist()
    return [None if value is None else float(f"{value:.{_DIGITS}g}") for value in values]
