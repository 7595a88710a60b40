"""Sentence VAE on the Penn Treebank: a decoder whose state flows between the words and jumps at each.

    odeembed train configs/ptb_lm.py --size small       # first: the language model that judges samples and walks
    odeembed train configs/ptb_jump.py --size small     # two CPU cores, minutes
    odeembed train configs/ptb_jump.py --size long      # the same for half as long again
    odeembed train configs/ptb_jump.py --size full      # one accelerator

The other ptb_*.py take everything from here but the model or the objective. The corpus is not part of this project: put
ptb.train.txt.gz, ptb.valid.txt.gz and ptb.test.txt.gz into $ODEEMBED_DATA/ptb.
"""

from dataclasses import replace

from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.data.vocabulary import Words
from odeembed.evaluate.language_model import Samples
from odeembed.evaluate.sentence_codes import Codes, ImportanceWeighted
from odeembed.evaluate.walks import Walks
from odeembed.experiment import Experiment
from odeembed.fields.gru import GRUField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.objectives.sentence_vae import Annealing, SentenceELBO
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer

data = TextData(
    train=TextFiles(("ptb/ptb.train.txt.gz",)),
    valid=TextFiles(("ptb/ptb.valid.txt.gz",)),
    test=TextFiles(("ptb/ptb.test.txt.gz",)),
    vocabulary=Words(),
    unit="line",
    buckets=(18, 28, 42, 88),
    batch_tokens=1024,
    min_length=1,
)
encoder = JumpFlow(hidden=128, field=None)
grid = SolveConfig(solver="midpoint", steps=1)
model = SentenceVAE(
    embed_dim=256,
    encoder=encoder,
    decoder=JumpDecoder(JumpFlow(hidden=256, field=GRUField(), config=grid, directions=("forward",))),
    latent=32,
)


def scores(size: str) -> tuple:
    """IW-50 on every other batch at small size, IW-500 on all at full size; the judge is of the same size."""
    judge = f"runs/ptb_lm-{size}-seed0"
    weighted = ImportanceWeighted(50, every=2) if size == "small" else ImportanceWeighted(500)
    return (weighted, Codes(), Samples(judge), Walks(judge), Walks(judge, prior=True))


small = Experiment(
    data=data,
    model=model,
    objective=SentenceELBO(
        Annealing(0.0, 1.0, hold=0, rise=3000), free_bits=0.2, dropout=0.2, negatives=1024
    ),
    optimizer=Optimizer(peak=3e-3, warmup=100, clip=5.0, b2=0.98),
    steps=8000,
    evaluate_every=2000,
    checkpoint_every=1000,
    scores=scores("small"),
)
long = replace(small, steps=12_000)
full = replace(
    small,
    objective=replace(small.objective, annealing=Annealing(0.0, 1.0, rise=9000), dropout=0.5, negatives=0),
    steps=40_000,
    evaluate_every=2000,
    checkpoint_every=2000,
    scores=scores("full"),
)
experiments = {"small": small, "long": long, "full": full}
