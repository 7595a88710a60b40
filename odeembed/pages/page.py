"""The HTML of a page: its frame, its tables and pictures, and widgets that its script draws from JSON."""

import base64
import html
import json
import math
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from plotly.offline import get_plotlyjs

from odeembed.plots.figure import DASHES, PALETTE, png
from odeembed.plots.run import Picture

# A report stands alone: what it may load is in it, and it can reach nothing.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_NAMED_DASHES = ("solid", "dash", "dashdot", "dot", "longdash", "longdashdot", "solid")
assert len(_NAMED_DASHES) == len(DASHES)


class Section(NamedTuple):
    """A part of a page: the name of its anchor, its heading, and its HTML."""

    name: str
    title: str
    body: str


def document(title: str, lead: str, sections: Iterable[Section]) -> str:
    """A page in one file, which needs no network: styles, scripts, numbers and pictures are in it.

    Args:
      lead: HTML below the title.
    """
    look = f"<style>{asset('page.css')}</style>"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    scripts = f"<script>{get_plotlyjs()}</script><script>{asset('page.js')}</script>"
    return framed(title, lead, sections, policy + look, scripts)


def framed(title: str, lead: str, sections: Iterable[Section], head: str, scripts: str) -> str:
    """The frame of every page: a title, links to the sections, and these."""
    sections = list(sections)
    links = "".join(f'<a href="#{section.name}">{html.escape(section.title)}</a>' for section in sections)
    body = "".join(
        f'<section id="{section.name}"><h2>{html.escape(section.title)}</h2>{section.body}</section>'
        for section in sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'{head}<title>{html.escape(title)}</title><link rel="icon" href="data:,"></head><body>'
        f"<header><h1>{html.escape(title)}</h1>{lead}<nav>{links}</nav></header><main>{body}</main>"
        f"{_json('look', {'palette': PALETTE, 'dashes': _NAMED_DASHES})}{scripts}</body></html>\n"
    )


def asset(name: str) -> str:
    """The text of a file beside this module."""
    return files("odeembed.pages").joinpath(name).read_text("utf-8")


def widget(kind: str, data: Any) -> str:
    """A place that the page's script fills: kind is a name in `KINDS` of page.js, data what it draws."""
    return f'<div class="widget" data-kind="{kind}">{_json(None, data)}</div>'


def side_by_side(charts: Iterable[Any]) -> str:
    """Charts in as many columns as there is room for."""
    return f'<div class="charts">{"".join(widget("chart", chart) for chart in charts)}</div>'


def picture(drawn: Picture) -> str:
    """A matplotlib figure as part of the page, with its text for those who cannot see it."""
    data = base64.b64encode(png(drawn.figure, drawn.text, dpi=110)).decode("ascii")
    return f'<img alt="{html.escape(drawn.text)}" src="data:image/png;base64,{data}">'


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers are set to the right and told to four digits."""
    titles = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def folded(title: str, body: str) -> str:
    """What is shown only when it is asked for."""
    return f"<details><summary>{html.escape(title)}</summary>{body}</details>"


def spelt(value: Any) -> str:
    """A value as a table shows it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def label(text: str) -> str:
    """Text for a chart, which reads its labels as HTML."""
    return html.escape(text, quote=False)


def as_json(value: Any) -> str:
    """JSON for a page: numbers that are not finite become null.

    Raises:
      TypeError: a value that JSON has no form for.
    """
    return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def _json(name: str | None, value: Any) -> str:
    # Within a script nothing of a text may look like the script's end; JSON can spell these signs otherwise.
    text = as_json(value).replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
    mark = "" if name is None else f' id="{name}"'
    return f'<script type="application/json"{mark}>{text}</script>'


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _cell(value: Any) -> str:
    kind = ' class="number"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
    return f"<td{kind}>{html.escape(spelt(value))}</td>"
