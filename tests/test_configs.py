"""Every config loads and is its own JSON; in the form that is published it takes two steps, the corpus cut short."""

import dataclasses
import json
import random
import runpy
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed import experiment as tree
from odeembed import runs
from odeembed.batch import Batch
from odeembed.data.images import ImageDataset, Images
from odeembed.data.points import PointData, Table
from odeembed.data.recordings import SeriesTable
from odeembed.data.sources import TextFiles
from odeembed.data.splits import SPLITS
from odeembed.data.vocabulary import Words
from odeembed.train.state import init_state
from odeembed.train.step import make_step

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def sizes():
    found = []
    for file in sorted(CONFIGS.glob("*.py")):
        sys.path.insert(0, str(CONFIGS))
        try:
            found += [(file.stem, size) for size in runpy.run_path(str(file))["experiments"]]
        finally:
            sys.path.remove(str(CONFIGS))
    return found


@pytest.mark.parametrize(("name", "size"), sizes())
def test_a_config_is_its_own_json(name, size):
    loaded = tree.load_config(str(CONFIGS / f"{name}.py"), size)
    again = tree.from_json(json.loads(json.dumps(tree.to_json(loaded))))
    assert again == loaded and tree.fingerprint(again) == tree.fingerprint(loaded)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    draw = random.Random(0)
    words = [first + second for first in "bcdfghklmn" for second in ("an", "en", "in", "on", "un")]
    file = tmp_path_factory.mktemp("text") / "text.txt"
    lines = [" ".join(draw.choices(words, k=draw.randint(6, 40))) for _ in range(600)]
    file.write_text("\n".join(lines))
    pairs = file.with_name("pairs.txt")
    pairs.write_text("\n".join(map("\t".join, zip(lines, reversed(lines), strict=True))))
    return {
        unit: TextFiles((str(pairs if unit == "pair" else file),)) for unit in ("line", "sentence", "pair")
    }


# The other configs have the models of these.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [(f"wikitext2_{body}", "full") for body in ("jump", "bigru", "latent", "depth", "transformer", "bert")]
    + [("wikipedia_jump", "small"), ("demo", "small")]
    + [("ptb_jump", "full"), ("ptb_flow", "full"), ("repeat_jump", "full"), ("multi30k_jump", "full")],
)
def test_two_steps_of_the_published_form(name, size, text):
    loaded = tree.load_config(str(CONFIGS / f"{name}.py"), size)
    buckets = loaded.data.buckets[-1:]  # one shape to compile
    data = dataclasses.replace(
        loaded.data,
        train=text[loaded.data.unit],
        valid=None,
        test=None,
        held_out=0.05,
        vocabulary=Words(),
        buckets=buckets,
        batch_tokens=8 * buckets[0],
        evaluation_tokens=300,
        **({"longer": "cut", "min_length": 1} if loaded.data.longer == "leave" else {}),
    )
    assert_two_steps(loaded, data.open(loaded.seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["moons_rnode", "protein_planar", "miniboone_flow"])
def test_two_steps_of_the_published_form_on_points(name, tmp_path):
    loaded = tree.load_config(str(CONFIGS / f"{name}.py"), "full")
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(64, loaded.model.width)))
    assert_two_steps(loaded, PointData(Table(str(tmp_path / "points.npy")), rows=16).open(loaded.seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist_rknet", "mnist_augmented"])
def test_two_steps_of_the_published_form_on_images(name):
    loaded = tree.load_config(str(CONFIGS / f"{name}.py"), "full")
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (8, 28, 28, 1), dtype=np.uint8), np.arange(8, dtype=np.int32)
    data = dataclasses.replace(loaded.data, rows=4)
    assert_two_steps(
        loaded, ImageDataset(data, loaded.seed, dict.fromkeys(SPLITS, Images(pixels, labels, 10)))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["physionet_cde", "physionet_rnnvae", "spirals30_latent", "vowels_grud"])
def test_two_steps_of_the_published_form_on_series(name, tmp_path):
    size = "small" if name.startswith("vowels") else "full"
    loaded = tree.load_config(str(CONFIGS / f"{name}.py"), size)
    channels, classes = loaded.model.channels, getattr(loaded.model, "classes", 2)
    lines = ["series,time," + ",".join(f"c{channel}" for channel in range(channels))]
    lines += [
        f"s{i},{t}," + ",".join([str(i + t)] + [""] * (channels - 1))
        for i in range(40)
        for t in range(i % 5 + 1)
    ]
    (tmp_path / "series.csv").write_text("\n".join(lines))
    (tmp_path / "labels.csv").write_text(
        "series,label\n" + "".join(f"s{i},{i % classes}\n" for i in range(40))
    )
    table = SeriesTable(str(tmp_path / "series.csv"), str(tmp_path / "labels.csv"))
    data = dataclasses.replace(loaded.data, train=table, test=None, folds=0, buckets=(8,), batch_times=64)
    assert_two_steps(loaded, data.open(loaded.seed))


def assert_two_steps(loaded, dataset):
    """Two steps on the first batch have finite losses, and the second another than the first."""
    model, optimizer = dataset.specialise(loaded.model), loaded.optimizer.build(2)
    batch = jax.tree.map(jnp.asarray, dataset.batch(0))
    state = init_state(model, loaded.objective, optimizer, batch, loaded.seed, loaded.ema)
    settings = {"accumulate": loaded.accumulate, "ema": loaded.ema, "products": loaded.products}
    quickly = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    step = make_step(model, loaded.objective, optimizer, **settings)
    step = jax.jit(step, donate_argnums=0, compiler_options=quickly)
    losses = [float((state := step(state, batch)).means["loss"].value) for _ in range(2)]
    assert np.isfinite(losses).all() and losses[1] != losses[0]


def parameters(name, size):
    """Parameters without those that grow with the vocabulary, which all models of a corpus share."""
    model = tree.load_config(str(CONFIGS / f"{name}.py"), size).model.clone(vocab_size=7)
    values = np.ones((8, 8), np.int32)
    batch = Batch(values, values.astype(np.float32), values.astype(bool), np.arange(8, dtype=np.int32))
    shapes = jax.eval_shape(lambda key: model.init(key, batch)["params"], jax.random.key(0))
    return sum(x.size for x in jax.tree.leaves(shapes)) - 7 * (model.embed_dim + 1)


@pytest.mark.parametrize("size", ["small", "full"])
@pytest.mark.parametrize(
    ("corpus", "twins"),
    [
        ("wikitext2_jump", ("bigru", "latent", "depth", "transformer")),
        ("wikipedia_jump", ("bigru",)),
        ("ptb_jump", ("gru",)),
        ("ptb_flow", ("inputless_gru",)),
        ("grammar_jump", ("gru", "autoencoder")),
        ("repeat_jump", ("gru",)),
        ("repeat_flow", ("inputless_gru",)),
        ("captions_jump", ("gru",)),
        ("scan_jump", ("gru",)),
        ("multi30k_jump", ("gru",)),
    ],
)
def test_twins_have_as_many_parameters(corpus, twins, size):
    wanted = parameters(corpus, size)
    corpus = corpus.split("_")[0]
    for twin in twins:
        assert abs(parameters(f"{corpus}_{twin}", size) / wanted - 1) < 0.01


@pytest.mark.slow
def test_the_neighbours_of_the_demonstration_are_those_of_a_trained_model(tmp_path):
    """A part of its steps; the vectors that training starts from find their partners by chance."""
    short = dataclasses.replace(tree.load_config(CONFIGS / "demo.py", "small"), steps=200, evaluate_every=200)
    trained = runs.train(short, tmp_path / "run", config="demo", report=lambda record: None)
    run = runs.Run.open(tmp_path / "run")
    start = short.objective.init(run.model, jax.random.key(0), run.dataset.batch(0))
    untrained = dataclasses.replace(run, params=start).score()
    name = "neighbors/mrr/embedding"
    assert untrained[name] < 0.02
    assert trained is not None and trained["metrics"][name] > 0.2


@pytest.mark.parametrize("seen", [30, 50, 100])
def test_the_wide_rnn_on_spirals_has_as_many_parameters_as_the_latent_ode(seen):
    wide, latent = (series_parameters(f"spirals{seen}_{name}", "full") for name in ("rnn", "latent"))
    assert abs(wide - latent) < 0.03 * latent


@pytest.mark.parametrize(
    ("corpus", "names", "sizes"),
    [
        ("vowels", ("rnn", "grud", "cde"), ("small",)),
        ("physionet", ("rnn", "grud", "cde"), ("small", "full")),
        ("physionet", ("latentrnn", "rnnvae"), ("small",)),
    ],
)
def test_readers_of_series_have_as_many_parameters(corpus, names, sizes):
    first = {"latentrnn": "latent"}.get(names[0], "odernn")
    for size in sizes:
        counts = [series_parameters(f"{corpus}_{name}", size) for name in (first, *names)]
        assert max(counts) < 1.06 * min(counts), (size, counts)


def series_parameters(name, size):
    model = tree.load_config(str(CONFIGS / f"{name}.py"), size).model
    times = np.tile(np.arange(4, dtype=np.float32), (2, 1))
    values = np.zeros((2, 4, model.channels), np.float32)
    batch = Batch(values, times, times >= 0, np.arange(2, dtype=np.int32))
    batch = jax.tree.map(jnp.asarray, batch)
    shapes = jax.eval_shape(lambda key: model.init(key, batch)["params"], jax.random.key(0))
    return sum(x.size for x in jax.tree.leaves(shapes))
