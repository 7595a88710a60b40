"""All the pictures of one run, drawn from what its directory holds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from odeembed.evaluate.classified import LabelScores
from odeembed.evaluate.densities import log_densities
from odeembed.evaluate.forecasts import forecasts
from odeembed.evaluate.held_out import held_out
from odeembed.evaluate.sentence_path import SentencePath, sentence_path
from odeembed.evaluate.trajectory import Trajectory, trajectory
from odeembed.evaluate.vectors import WordVectors, readings
from odeembed.models.density import DensityEstimator
from odeembed.models.flow import ContinuousFlow
from odeembed.models.image_classifier import ImageClassifier
from odeembed.models.interpolator import MaskedInterpolator
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.models.seq2seq import Seq2Seq
from odeembed.models.series import LatentODE, SeriesClassifier, SeriesPredictor
from odeembed.plots.density import density_and_path
from odeembed.plots.effort import error_and_time
from odeembed.plots.embedding_map import embedding_map
from odeembed.plots.figure import save
from odeembed.plots.gaps import by_gap, by_shift
from odeembed.plots.sentence import path_in_time
from odeembed.plots.series import channels_over_time, paths_in_the_plane
from odeembed.plots.training import training_curves
from odeembed.plots.trajectory import described as described_trajectory
from odeembed.plots.trajectory import trajectory_picture
from odeembed.plots.walk import described as described_walk
from odeembed.plots.walk import walk_picture
from odeembed.train.logs import read_metrics


class Picture(NamedTuple):
    """A figure, the name of its file without an ending, and a sentence for those who cannot see it."""

    name: str
    figure: Figure
    text: str


class DensityInTime(NamedTuple):
    """A flow's density in the plane.

    Attributes:
      points: float [n, 2], of the test split.
      reach: everything is shown over [-reach, reach]^2.
      density: float [g, g] on a square grid, the second coordinate first.
      ts: the times of the path, from the base to the data.
      path: float [m, t, 2], draws from the base on their way.
    """

    points: np.ndarray
    reach: float
    density: np.ndarray
    ts: list[float]
    path: np.ndarray


def draw(run: Any, folder: Path | str | None = None) -> list[Path]:
    """Draws all `pictures` of a run into a folder, by default the run directory's plots/, as .png."""
    folder = Path(run.path) / "plots" if folder is None else Path(folder)
    return [save(picture.figure, folder / f"{picture.name}.png", picture.text) for picture in pictures(run)]


def pictures(run: Any) -> Iterator[Picture]:
    """A run's training curves, of models of words the embedding map, and what else its kind of model shows.

    An interpolator shows a held-out sentence with hidden tokens, and once the run has a result its quality by gap; a
    sentence VAE the walk between two sentences; a sequence-to-sequence model the path of its decoder while it says one;
    a density in the plane itself, and how it comes about in time; a classifier of images by an equation its error and
    its time by the exactness of the solve; a model of series what it says of the first ones.

    Args:
      run: has path, model, params, vocabulary and dataset, and the coder or translator of such a model.
    """
    name = Path(run.path).name
    metric, unit = curves_of(run.model)
    figure = training_curves({name: read_metrics(run.path)}, metric, unit)
    yield Picture("training", figure, f"Training loss and held-out {metric} of {name} by step.")
    if run.vocabulary is None:
        yield from own_pictures(run)
        return
    vectors = word_table(run)
    text = f"Word vectors of {name} in their two directions of largest variance."
    yield Picture("embedding", embedding_map(vectors, families(vectors)), text)
    if isinstance(run.model, SentenceVAE) and run.model.latent:
        shares, texts = held_out_walk(run)
        yield Picture("walk", walk_picture(shares, texts), described_walk(texts))
    if isinstance(run.model, Seq2Seq):
        said = held_out_trajectory(run)
        yield Picture("trajectory", trajectory_picture(said), described_trajectory(said))
    if not isinstance(run.model, MaskedInterpolator):
        return
    path = held_out_path(run)
    yield Picture("sentence", path_in_time(path), described(path))
    if (Path(run.path) / "result.json").exists():
        metrics = json.loads((Path(run.path) / "result.json").read_text(encoding="utf-8"))["metrics"]
        yield Picture("gaps", by_gap({name: metrics}), f"Perplexity of {name} by length of the gap.")
        if any(key.startswith("accuracy/shift") for key in metrics):
            text = f"Accuracy of {name} for tokens read before, at and after their time."
            yield Picture("shifts", by_shift({name: metrics}), text)


def own_pictures(run: Any) -> list[Picture]:
    """What a model that is not of words shows beside its training curves."""
    return _PICTURES[type(run.model)](run)


def curves_of(model: Any) -> tuple[str, str]:
    """The held-out metric that tells how training went, and the unit of the loss."""
    return _CURVES.get(type(model), ("perplexity", "nats a token"))


def word_table(run: Any) -> WordVectors:
    """The vectors of a run's words, as its table of embeddings has them."""
    return readings(run.model, run.params, run.vocabulary, removed=())["embedding"]


def density_in_time(
    run: Any, count: int = 2000, across: int = 200, times: int = 10, seed: int = 0
) -> DensityInTime | None:
    """Of a continuous flow in the plane: `count` points, a grid of `across` squared, `times` times; else None."""
    if run.model.width != 2 or not isinstance(run.model.flow, ContinuousFlow):
        return None
    points, length = run.dataset.points["test"][:count], run.model.flow.length
    reach = 1.1 * float(np.abs(points).max())
    axis = np.linspace(-reach, reach, across, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), -1)
    density = np.exp(log_densities(run.model, run.params, grid.reshape(-1, 2)).log_prob)
    bases = jax.random.normal(jax.random.key(seed), (len(points), 2))
    ts = np.linspace(0, length, times)
    path = run.model.apply({"params": run.params}, bases, jnp.asarray(ts, jnp.float32), method="transport").ys
    return DensityInTime(points, reach, density.reshape(grid.shape[:2]), ts.tolist(), np.asarray(path))


def _density(run: Any) -> list[Picture]:
    """Of a continuous flow in the plane."""
    found = density_in_time(run)
    if found is None:
        return []
    figure = density_and_path(
        found.points, found.path[:, -1], found.density, found.reach, found.path, found.ts
    )
    text = (
        f"Points, draws and density of {Path(run.path).name}, and its draws at ten times from noise to data."
    )
    return [Picture("density", figure, text)]


def _effort(run: Any) -> list[Picture]:
    """Of a classifier that solves an equation: by the tolerances, or the steps, of its own scores."""
    scores = (score for score in run.experiment.scores if isinstance(score, LabelScores))
    efforts = next(scores, LabelScores()).efforts(run)
    if not efforts:
        return []
    text = f"Error, evaluations and time of {Path(run.path).name} by the exactness of its solves."
    return [Picture("effort", error_and_time(efforts), text)]


def _series(run: Any) -> list[Picture]:
    """Of four series of the test split: paths in the plane where they are known, else channels over time."""
    dataset, one = run.dataset, run.dataset.series["test"]
    shown = range(min(4, len(one.times)))
    name = Path(run.path).name
    if one.truth and len(one.channels) == 2:
        truth = {part: ys for part, (_, ys) in dataset.truth("test").items()}
        figure = paths_in_the_plane([one.values[i] for i in shown], truth, forecasts(run, "test"))
        text = f"What was seen of {len(shown)} series, the truth, and the paths of {name}."
        return [Picture("series", figure, text)]
    batch = next(dataset.evaluation("test"))
    means = np.asarray(run.model.apply({"params": run.params}, batch).means)
    rows = [row for row in range(len(batch.index)) if batch.index[row] >= 0][:4]
    often = np.argsort([-np.isfinite(np.concatenate(one.values)[:, c]).sum() for c in range(means.shape[-1])])
    often = often[:3]
    own = [(batch.times[row][batch.mask[row]], row) for row in rows]
    figure = channels_over_time(
        [ts for ts, _ in own],
        [batch.values[row][batch.mask[row]][:, often] for _, row in own],
        [ts for ts, _ in own],
        [means[row][batch.mask[row]][:, often] for _, row in own],
        [one.channels[channel] for channel in often],
    )
    text = (
        f"What was seen of {len(rows)} series in three channels, and the means of {name} at the same times."
    )
    return [Picture("series", figure, text)]


def _nothing(run: Any) -> list[Picture]:
    return []


# Of models that are not of words: the held-out metric and the unit of the loss that the training curves show, and what
# else is drawn of a run.
_CURVES = {
    DensityEstimator: ("nats", "nats a point"),
    ImageClassifier: ("error", "nats an image"),
    LatentODE: ("mse", "nats a series"),
    SeriesPredictor: ("mse", "nats a series"),
    SeriesClassifier: ("error", "nats a series"),
}
_PICTURES = {
    DensityEstimator: _density,
    ImageClassifier: _effort,
    LatentODE: _series,
    SeriesPredictor: _series,
    SeriesClassifier: _nothing,
}


def held_out_walk(run: Any, steps: int = 7) -> tuple[list[float], list[str]]:
    """Shares and sentences of the walk from the first to the last of a few held-out ones without unknown words."""
    coder = run.coder
    sentences = held_out(run.dataset, "valid")[:64]
    known = [ids for ids in sentences if coder.vocabulary.unk_id not in ids] or sentences
    found = coder.walk(*(coder.encode([ids])[0] for ids in (known[0], known[-1])), steps)[0]
    return found.shares, [coder.vocabulary.decode(ids) for ids in found.sentences]


def held_out_trajectory(run: Any, words: int = 6) -> Trajectory:
    """What a decoder does while it says the first held-out sentence of 4 to 12 tokens without unknown words."""
    return trajectory(run.translator, first_sentence(run.dataset, run.vocabulary, 4, 12), words=words)


def families(vectors: WordVectors, count: int = 6, size: int = 5, skip: int = 60) -> list[list[str]]:
    """Picks frequent words, the first `skip` of them passed over, each with its nearest neighbours, no word twice."""
    order = np.argsort(-vectors.counts, kind="stable")
    floor = int(vectors.counts[order[min(len(order) - 1, 2000)]])
    found: list[list[str]] = []
    used: set[str] = set()
    for row in order[min(skip, len(order) // 2) :]:
        word = vectors.words[row]
        near = [other for other, _ in vectors.neighbors(word, size - 1, min_count=floor)]
        if word.isalpha() and len(word) > 3 and not used & {word, *near}:
            found.append([word, *near])
            used |= {word, *near}
        if len(found) == count:
            break
    return found


def held_out_path(run: Any, shortest: int = 8, longest: int = 14) -> SentencePath:
    """The path of the first held-out sentence of such a length without unknown words, two of its tokens hidden."""
    return held_out_paths(run, 1, shortest, longest)[0]


def held_out_paths(run: Any, count: int, shortest: int = 8, longest: int = 14) -> list[SentencePath]:
    """The paths of the first so many."""
    paths = []
    for ids in first_sentences(run.dataset, run.vocabulary, shortest, longest, count):
        visible = np.ones(len(ids), bool)
        visible[hidden_places(len(ids))] = False
        paths.append(sentence_path(run.model, run.params, run.vocabulary, ids, visible))
    return paths


def hidden_places(tokens: int) -> list[int]:
    """Which two tokens of a sentence are hidden where it is shown."""
    return [tokens // 3, 2 * tokens // 3]


def described(path: SentencePath) -> str:
    """A sentence for those who cannot see the picture."""
    hidden = [token for token, seen in zip(path.tokens, path.visible, strict=True) if not seen]
    return (
        f'Probability of {", ".join(path.words)} at and between the tokens of "{" ".join(path.tokens)}", '
        f"in which {' and '.join(hidden)} are hidden."
    )


def first_sentence(dataset: Any, vocabulary: Any, shortest: int, longest: int) -> list[int]:
    """The ids of the first held-out sentence of such a length without unknown words; failing that, of the first."""
    return first_sentences(dataset, vocabulary, shortest, longest, 1)[0]


def first_sentences(
    dataset: Any, vocabulary: Any, shortest: int, longest: int, count: int
) -> list[list[int]]:
    """The first so many, all different; where none is of such a length, the first of all."""
    first, found = [], []
    for batch in dataset.evaluation("valid"):
        for row in np.flatnonzero(np.asarray(batch.index) >= 0):
            ids = batch.values[row][batch.mask[row]].tolist()
            first = first or ids
            if shortest <= len(ids) <= longest and vocabulary.unk_id not in ids and ids not in found:
                found.append(ids)
            if len(found) == count:
                return found
    return found or [first[:longest]]
