"""Several runs beside each other: where they differ, what they reached, and how they got there."""

import html
from collections.abc import Sequence
from typing import Any

from odeembed.experiment import differences
from odeembed.pages import charts
from odeembed.pages.facts import Facts, circumstances, headline, refuse_none
from odeembed.pages.page import Section, document, folded, paragraph, side_by_side, spelt, table


def comparison(runs: Sequence[Facts]) -> str:
    """The page of some runs; ConfigError where there is none."""
    refuse_none(runs)
    names = [run.name for run in runs]
    main, rest = metrics_of(runs), metrics_of(runs, parts=True)
    results = table(("metric", *names), main) if main else paragraph("No run is finished yet.")
    if rest:
        results += folded(f"{len(rest)} more", table(("metric", *names), rest))
    sections = [
        Section("results", "Results", results),
        Section("settings", "Settings that differ", _settings(runs)),
        Section("training", "Training", side_by_side(charts.training(runs))),
        Section("circumstances", "How and where", _circumstances(runs)),
    ]
    lead = f"<p>{html.escape(', '.join(names))}</p>"
    return document(f"{len(runs)} runs beside each other", lead, sections)


def metrics_of(runs: Sequence[Facts], parts: bool = False) -> list[list[Any]]:
    """A row for each metric: its name, and its value in every run, None where it has none.

    Args:
      parts: whether the metrics are those that have parts in their names, or the others.
    """
    top = [headline(run.metrics) for run in runs]
    chosen = [
        {name: run.metrics[name] for name in run.metrics if name not in first} if parts else first
        for run, first in zip(runs, top, strict=True)
    ]
    names = dict.fromkeys(name for metrics in chosen for name in metrics)
    return [[name, *(metrics.get(name) for metrics in chosen)] for name in names]


def differing(runs: Sequence[Facts]) -> list[tuple[str, str]]:
    """For each run after the first what its experiment has otherwise than that: its name, and a setting."""
    first, *others = runs
    return [
        (run.name, changed) for run in others for changed in differences(first.experiment, run.experiment)
    ]


def as_text(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Rows as a terminal shows them."""
    return [[spelt(value) for value in row] for row in rows]


def _settings(runs: Sequence[Facts]) -> str:
    found = differing(runs)
    if not found:
        return paragraph("None." if len(runs) > 1 else "There is one run only.")
    return paragraph(f"Against {runs[0].name}:") + table(("run", "setting"), found)


def _circumstances(runs: Sequence[Facts]) -> str:
    known = [dict(circumstances(run.result)) if run.result is not None else {} for run in runs]
    names = dict.fromkeys(name for one in known for name in one)
    rows = [[name, *(one.get(name) for one in known)] for name in names]
    rows.append(["command", *(run.command for run in runs)])
    return table(("", *(run.name for run in runs)), rows)
