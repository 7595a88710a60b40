"""The report of a run: one page that tells what was trained, how it went, what it found, and how to do it again."""

import html
import json
from collections.abc import Callable, Iterator
from typing import Any

from odeembed.errors import OdeembedError
from odeembed.evaluate.vectors import WordVectors
from odeembed.experiment import to_json
from odeembed.models.density import DensityEstimator
from odeembed.models.interpolator import MaskedInterpolator
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.models.seq2seq import Seq2Seq
from odeembed.pages import charts
from odeembed.pages.facts import MEANINGS, Facts, circumstances, headline
from odeembed.pages.page import Section, document, folded, paragraph, picture, side_by_side, table, widget
from odeembed.plots.run import (
    density_in_time,
    families,
    held_out_paths,
    held_out_trajectory,
    held_out_walk,
    own_pictures,
    word_table,
)


def report(run: Any, facts: Facts) -> str:
    """The page of a run.

    What needs data that are not there, such as a held-out sentence of a corpus that lies elsewhere, is left out with a
    word.

    Args:
      run: an opened run, as `odeembed.plots.run.pictures` takes it.
    """
    lead = f"<p>{html.escape(_lead(facts))}</p>"
    return document(facts.name, lead, _sections(run, facts))


def _lead(facts: Facts) -> str:
    experiment = facts.experiment
    kinds = [type(part).__name__ for part in (experiment.model, experiment.objective, experiment.data)]
    made = f"{facts.config}, size {facts.size}, seed {experiment.seed}: "
    made += f"a {kinds[0]} trained by {kinds[1]} on {kinds[2]}"
    ended = "not finished yet" if facts.result is None else f"{facts.result['steps']:,} steps"
    changed = f", changed by {' '.join(facts.overrides)}" if facts.overrides else ""
    return f"{made}, {ended}{changed}."


def _sections(run: Any, facts: Facts) -> Iterator[Section]:
    model = run.model
    if facts.result is not None:
        yield Section("results", "Results", _results(facts))
    shown: list[tuple[str, str, Callable[[], str]]] = []
    if isinstance(model, MaskedInterpolator):
        shown.append(("sentence", "Sentences in time", lambda: _sentences(run)))
    if isinstance(model, SentenceVAE) and model.latent:
        shown.append(("walk", "A walk between two sentences", lambda: _walk(run)))
    if isinstance(model, Seq2Seq):
        shown.append(("trajectory", "While it says a sentence", lambda: _said(run)))
    if isinstance(model, DensityEstimator):
        shown.append(("flow", "From noise to data", lambda: _flow(run)))
    if run.vocabulary is None:
        shown.append(("pictures", "Pictures", lambda: "".join(map(picture, own_pictures(run)))))
    for name, title, body in shown:
        try:
            found = body()
        except OdeembedError as error:
            found = paragraph(f"Left out: {error}")
        if found:
            yield Section(name, title, found)
    if run.vocabulary is not None:
        vectors = word_table(run)
        groups = families(vectors)
        yield Section("words", "The map of the words", _map(vectors, groups))
        yield Section("neighbors", "Nearest words", _neighbors(vectors, groups))
    if gaps := _gaps(facts):
        yield Section("gaps", "By the length of the gap", gaps)
    yield Section("training", "Training", side_by_side(charts.training([facts])))
    if facts.result is not None:
        yield Section("cost", "Where the time went", _cost(facts))
    yield Section("again", "How to do it again", _again(facts))


def _results(facts: Facts) -> str:
    metrics = facts.metrics
    top = headline(metrics)
    rows = [(name, value, MEANINGS.get(name, "")) for name, value in top.items()]
    rest = [(name, value) for name, value in metrics.items() if name not in top]
    body = paragraph("Measured on the test split at the best checkpoint.")
    body += table(("metric", "value", "what it is"), rows)
    return body + (folded(f"{len(rest)} more", table(("metric", "value"), rest)) if rest else "")


def _sentences(run: Any) -> str:
    told = (
        "Held-out sentences, two words of each hidden (dashed). Between the words that are seen the hidden state flows "
        "under the learned equation; move the slider to see what the model would say at any time, one between two "
        "words too. The arrows are the vector field in the plane of the state's two main directions."
    )
    shown = (widget("sentence", charts.sentence(path)) for path in held_out_paths(run, 2))
    return paragraph(told) + "".join(shown)


def _walk(run: Any) -> str:
    shares, texts = held_out_walk(run, 9)
    told = (
        "Two held-out sentences as codes, and what is said of the codes on the straight way from one to the other; a "
        "sentence that repeats the one before is grey."
    )
    return paragraph(told) + widget("walk", {"shares": shares, "sentences": texts})


def _said(run: Any) -> str:
    path = held_out_trajectory(run, words=24)
    told = (
        f'What the decoder would say at any time while it says the words below for "{" ".join(path.source)}", '
        "and where its state is."
    )
    return paragraph(told) + widget("sentence", charts.said(path))


def _flow(run: Any) -> str:
    found = density_in_time(run, count=1000, across=2)
    if found is None:
        return ""
    told = "Draws from the normal distribution on their way to the data, along the paths of the learned equation."
    return paragraph(told) + widget("moving", charts.moving(found))


def _map(vectors: WordVectors, groups: list[list[str]]) -> str:
    told = (
        "The most frequent words (grey; point at one to read it) in the two main directions of the words written out, "
        "each group a word and its nearest ones. Scroll to zoom, drag to move."
    )
    return paragraph(told) + widget("chart", charts.word_map(vectors, groups))


def _neighbors(vectors: WordVectors, groups: list[list[str]]) -> str:
    rows = []
    for first, *near in groups:
        found = [f"{other} {vectors.similarity(first, other):.2f}" for other in near]
        rows.append((first, int(vectors.counts[vectors.row(first)]), ", ".join(found)))
    return table(("word", "occurs", "nearest, with their cosines"), rows)


def _gaps(facts: Facts) -> str:
    metrics, lengths = facts.metrics, [str(length) for length in range(1, 65)]
    found = []
    for metric in ("accuracy", "perplexity"):
        known = [length for length in lengths if metrics.get(f"{metric}/gap{length}") is not None]
        if known:
            values = [metrics[f"{metric}/gap{length}"] for length in known]
            found.append(charts.bars(known, values, "length of the gap (tokens)", metric))
    return side_by_side(found) if found else ""


def _cost(facts: Facts) -> str:
    assert facts.result is not None
    body = widget("chart", charts.shares(facts.result["time"], "seconds"))
    return body + table(("", ""), circumstances(facts.result))


def _again(facts: Facts) -> str:
    settings = json.dumps(to_json(facts.experiment), indent=1)
    return f"<pre>{html.escape(facts.command)}</pre>" + folded(
        "all settings", f"<pre>{html.escape(settings)}</pre>"
    )
