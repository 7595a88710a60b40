"""Every picture of a run, from an untrained model on a few lines of text."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from odeembed.batch import Batch
from odeembed.data.densities import ToyDensity
from odeembed.data.points import PointData
from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.evaluate.classified import LabelScores
from odeembed.evaluate.vectors import WordVectors
from odeembed.fields.convolution import PixelField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.density import DensityEstimator
from odeembed.models.encoders import JumpFlow
from odeembed.models.flow import ContinuousFlow
from odeembed.models.image_classifier import ImageClassifier, ODEBlock, ResidualBlocks, Shrunk
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.models.planar import PlanarFlow
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.classification import Classification
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.objectives.sequence import SequenceNLL
from odeembed.plots.run import draw, families, held_out_path, held_out_paths
from odeembed.solve.config import SolveConfig
from odeembed.translate import Translator


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    colours = ("green", "small", "large", "white", "black", "round", "heavy")
    lines = [f"the {a} stone lay near a {b} house by the river" for a in colours for b in colours] * 8
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    data = TextData(train=TextFiles(paths=(str(folder / "text.txt"),)), batch_tokens=512)
    dataset = data.open(0)
    model = dataset.specialise(MaskedInterpolator(embed_dim=8, body=Jump()))
    params = MaskedInterpolation().init(model, jax.random.key(0), dataset.batch(0))
    record = {"step": 1, "kind": "train", "loss": 3.0}
    (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    return SimpleNamespace(
        path=folder, model=model, params=params, vocabulary=dataset.vocabulary, dataset=dataset
    )


def test_every_picture_is_drawn_and_described(run):
    names = {path.name for path in draw(run)}
    assert names == {"training.png", "embedding.png", "sentence.png"}
    metrics = {"accuracy": 0.2, "accuracy/shift+0.5": 0.1, "perplexity/gap1": 9.0}
    (run.path / "result.json").write_text(json.dumps({"metrics": metrics}))
    drawn = draw(run, run.path / "again")
    assert {path.name for path in drawn} == names | {"gaps.png", "shifts.png"}
    assert all(len(Image.open(path).info["Description"]) > 30 for path in drawn)
    assert drawn[2].read_bytes() == (run.path / "plots" / "sentence.png").read_bytes()


def test_a_sequence_to_sequence_run_has_its_trajectory_drawn(run, tmp_path):
    decoder = JumpDecoder(JumpFlow(6, None, directions=("forward",)))
    model = run.dataset.specialise(Seq2Seq(embed_dim=8, encoder=JumpFlow(4, None), decoder=decoder, latent=4))
    params = SequenceNLL().init(model, jax.random.key(0), run.dataset.batch(0))
    translator = Translator(model, params, run.vocabulary, 6)
    facts = vars(run) | {"model": model, "params": params, "translator": translator}
    names = {path.name for path in draw(SimpleNamespace(**facts), tmp_path)}
    assert names == {"training.png", "embedding.png", "trajectory.png"}


def test_several_held_out_sentences_are_different_ones(run):
    first, second = held_out_paths(run, 2)
    assert first.tokens == held_out_path(run).tokens != second.tokens


def test_the_held_out_sentence_has_two_hidden_tokens(run):
    path = held_out_path(run)
    assert len(path.tokens) == 11
    assert (~path.visible).sum() == 2
    hidden = [token for token, seen in zip(path.tokens, path.visible, strict=True) if not seen]
    assert set(hidden) <= set(path.words)
    assert np.all((path.probability > 0) & (path.probability < 1))


def test_families_share_no_word():
    rng = np.random.default_rng(0)
    words = tuple(f"w{'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]}x" for i in range(100))
    found = families(
        WordVectors(words, rng.normal(size=(100, 3)).astype(np.float32), np.arange(100, 0, -1)), skip=5
    )
    named = [word for family in found for word in family]
    assert len(found) == 6
    assert len(named) == len(set(named)) == 30
    assert found[0][0] == words[5]


def test_a_density_in_the_plane_is_drawn_with_its_way_there_and_others_are_not(run, tmp_path):
    facts = {
        "vocabulary": None,
        "path": run.path,
        "dataset": PointData(ToyDensity(count=200), rows=16).open(0),
    }
    for flow, width in ((ContinuousFlow(), 2), (ContinuousFlow(), 3), (PlanarFlow(2), 2)):
        model = DensityEstimator(flow, width)
        params = model.init(jax.random.key(0), jnp.zeros((1, width)), method="log_prob")["params"]
        drawn = draw(SimpleNamespace(**facts, model=model, params=params), tmp_path)
        whole = width == 2 and isinstance(flow, ContinuousFlow)
        assert {path.name for path in drawn} == {"training.png"} | ({"density.png"} if whole else set())
    assert "at ten times" in Image.open(tmp_path / "density.png").info["Description"]


def test_a_classifier_by_an_equation_has_its_exactness_drawn_and_others_have_not(run, tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 12, 12, 1)).astype(np.float32)
    index = np.arange(4, dtype=np.int32)
    batch = Batch(values, np.zeros((4, 1)), index[:, None] >= 0, index, target=index)
    dataset = SimpleNamespace(evaluation=lambda split: iter([batch]), batch=lambda step: batch)
    solved = ODEBlock(PixelField(2), SolveConfig(solver="euler", steps=2))
    for body, drawn in ((solved, {"effort.png"}), (ResidualBlocks(1), set())):
        model = ImageClassifier(Shrunk(), body, pooling="flat")
        params = Classification().init(model, jax.random.key(0), batch)
        facts = {"path": run.path, "vocabulary": None, "dataset": dataset, "model": model, "params": params}
        facts |= {"experiment": SimpleNamespace(scores=(LabelScores(steps=(1, 2)),))}
        again = lambda steps, model=model: SimpleNamespace(  # noqa: E731
            model=model.clone(body=ODEBlock(PixelField(2), SolveConfig(solver="euler", steps=steps)))
        )
        names = {path.name for path in draw(SimpleNamespace(**facts, with_solver=again), tmp_path)}
        assert names == {"training.png"} | drawn
