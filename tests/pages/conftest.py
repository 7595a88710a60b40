"""Small runs of every kind that has a page of its own, and a browser to look at pages with."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, NoBrowserError, chromium

from odeembed import runs
from odeembed.data.densities import ToyDensity
from odeembed.data.points import PointData
from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.experiment import Experiment
from odeembed.fields.concat_squash import ConcatSquashField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.density import DensityEstimator
from odeembed.models.encoders import JumpFlow
from odeembed.models.flow import ContinuousFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.density import FlowMatching
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.objectives.sentence_vae import SentenceELBO
from odeembed.objectives.sequence import SequenceNLL
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer

HOSTILE = "</script><img/src=x/onerror=window.pwned=1>"
WORDS = ("green", "small", "large", "white", HOSTILE, "round", "heavy", "<b>bold</b>", "&amp;")


def trained(path: Path, model: Any, objective: Any, data: Any, steps: int = 4) -> Path:
    experiment = Experiment(
        data=data,
        model=model,
        objective=objective,
        optimizer=Optimizer(peak=1e-2, warmup=2),
        steps=steps,
        log_every=1,
        evaluate_every=2,
        checkpoint_every=steps,
        monitor="nats" if isinstance(data, PointData) else "nll",
    )
    assert runs.train(experiment, path, config="tiny", report=lambda record: None) is not None
    return path


@pytest.fixture(scope="session")
def hostile() -> str:
    """A word of the text, which a page must show and not obey."""
    return HOSTILE


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> TextData:
    lines = [f"the {a} stone lay near a {b} house by the river" for a in WORDS for b in WORDS] * 4
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n".join(lines) + "\n")
    return TextData(train=TextFiles((str(file),)), held_out=0.1, buckets=(16,), batch_tokens=256)


@pytest.fixture(scope="session")
def interpolator(text, tmp_path_factory) -> Path:
    """A run whose words and paths one may look at."""
    model = MaskedInterpolator(embed_dim=8, body=Jump(JumpFlow(8)))
    return trained(tmp_path_factory.mktemp("runs") / "interpolator", model, MaskedInterpolation(), text)


@pytest.fixture(scope="session")
def vae(text, tmp_path_factory) -> Path:
    """A run that walks between sentences."""
    decoder = JumpDecoder(JumpFlow(8, None, directions=("forward",)))
    model = SentenceVAE(embed_dim=8, encoder=JumpFlow(8, None), decoder=decoder, latent=4)
    return trained(tmp_path_factory.mktemp("runs") / "vae", model, SentenceELBO(), text)


@pytest.fixture(scope="session")
def seq2seq(text, tmp_path_factory) -> Path:
    """A run that says what it hears."""
    decoder = JumpDecoder(JumpFlow(8, directions=("forward",)))
    model = Seq2Seq(embed_dim=8, encoder=JumpFlow(8, None), decoder=decoder, latent=4)
    return trained(tmp_path_factory.mktemp("runs") / "seq2seq", model, SequenceNLL(), text)


@pytest.fixture(scope="session")
def density(tmp_path_factory) -> Path:
    """A run that draws points."""
    points = PointData(*(ToyDensity("moons", 256, seed) for seed in range(3)), rows=64)
    flow = ContinuousFlow(ConcatSquashField(hidden=(8,)), SolveConfig(solver="rk4", steps=2))
    return trained(
        tmp_path_factory.mktemp("runs") / "density", DensityEstimator(flow), FlowMatching(), points
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    """A browser; skips where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            yield stack.enter_context(chromium(tmp_path_factory.mktemp("browser")))
        except NoBrowserError as error:
            pytest.skip(f"needs a browser: {error}")
