"""Sentence VAE on the grammar world: its parser says which sentences between two sentences are sentences.

    odeembed train configs/grammar_jump.py --size small     # a CPU core, minutes

The other grammar_*.py take everything from here but the decoder or the objective. The weight of the KL term stays below
1, so that sentences can be told apart by their codes: only pairs whose ends come back from theirs are counted.
"""

from dataclasses import replace

from odeembed.data.grammar import GrammarWorld
from odeembed.data.text import TextData
from odeembed.data.vocabulary import Words
from odeembed.evaluate.sentence_codes import Codes, ImportanceWeighted
from odeembed.evaluate.walks import GrammarWalks, Walks
from odeembed.experiment import Experiment
from odeembed.fields.gru import GRUField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.objectives.sentence_vae import Annealing, SentenceELBO
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer

data = TextData(
    train=GrammarWorld(40_000, seed=0, part="train"),
    valid=GrammarWorld(1000, seed=1, part="held_out"),
    test=GrammarWorld(1000, seed=2, part="held_out"),
    vocabulary=Words(),
    buckets=(8, 12, 16),
    batch_tokens=1024,
    min_length=1,
)
grid = SolveConfig(solver="midpoint", steps=1)
model = SentenceVAE(
    embed_dim=64,
    encoder=JumpFlow(hidden=128, field=None),
    decoder=JumpDecoder(JumpFlow(hidden=128, field=GRUField(), config=grid, directions=("forward",))),
    latent=32,
)
small = Experiment(
    data=data,
    model=model,
    objective=SentenceELBO(Annealing(0.0, 0.15, hold=500, rise=1000), word_dropout=0.3),
    optimizer=Optimizer(peak=4e-3, warmup=100, clip=5.0, b2=0.98),
    steps=4000,
    evaluate_every=1000,
    checkpoint_every=1000,
    monitor="reconstruction",
    scores=(ImportanceWeighted(50), Codes(reconstructed=1000), Walks(), GrammarWalks()),
)
full = replace(
    small,
    data=replace(data, train=GrammarWorld(200_000, seed=0, part="train")),
    objective=replace(small.objective, annealing=Annealing(0.0, 0.15, hold=2000, rise=4000)),
    steps=20_000,
)
experiments = {"small": small, "full": full}
