"""Masked interpolation on WikiText-2 by GRU-ODE flows that jump at the visible tokens.

    odeembed train configs/wikitext2_jump.py --size small     # two CPU cores, minutes
    odeembed train configs/wikitext2_jump.py --size full      # one accelerator

The other wikitext2_*.py take everything from here but the body, whose size they match.
"""

from dataclasses import replace

from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.data.vocabulary import Words
from odeembed.evaluate.fractional_times import FractionalTimes
from odeembed.evaluate.word_similarity import WordSimilarity
from odeembed.experiment import Experiment
from odeembed.fields.gru import GRUField
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.objectives.masked_interpolation import MaskedInterpolation, Masking
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer

data = TextData(
    train=TextFiles(("wikitext2/train.txt.gz",)),
    valid=TextFiles(("wikitext2/valid.txt.gz",)),
    test=TextFiles(("wikitext2/test.txt.gz",)),
    vocabulary=Words(),
    unit="line",
    buckets=(8, 16, 32),
    batch_tokens=2048,
)
flow = JumpFlow(hidden=128, field=GRUField(), config=SolveConfig(solver="midpoint", steps=1))
small = Experiment(
    data=data,
    model=MaskedInterpolator(embed_dim=128, body=Jump(flow)),
    objective=MaskedInterpolation(
        masking=Masking(rate=0.25, law="uniform"),
        held_out=Masking(rate=0.25, law="uniform"),
        targets="all",
        negatives=1024,
    ),
    optimizer=Optimizer(peak=4e-3, warmup=100, b2=0.98),
    steps=800,
    evaluate_every=800,
    checkpoint_every=200,
    scores=(FractionalTimes(), WordSimilarity(tokens=200_000)),
)
full = replace(
    small,
    data=replace(data, batch_tokens=8192),
    model=MaskedInterpolator(embed_dim=128, body=Jump(replace(flow, hidden=256))),
    objective=replace(small.objective, negatives=4096),
    steps=12000,
    evaluate_every=2000,
    checkpoint_every=1000,
    scores=(FractionalTimes(), WordSimilarity()),
)
experiments = {"small": small, "full": full}
