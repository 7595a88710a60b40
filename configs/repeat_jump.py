"""Repeating short Yelp sentences through one state of fixed size, without attention: a flow that jumps at each word.

    odeembed train configs/repeat_jump.py --size small    # one CPU core, minutes
    odeembed train configs/repeat_jump.py --size full     # one accelerator

The other repeat_*.py take everything from here but the decoder. Sentences of 5 to 14 words; the corpus is that of
yelp_jump.py. While training one word of ten is replaced by any other, on both sides alike, so that rare words are
learned and no sentence by heart; at size "plain" none is.
"""

from dataclasses import replace

from yelp_jump import data as yelp

from odeembed.evaluate.between_tokens import BetweenTokens, Probes
from odeembed.evaluate.translations import Translations
from odeembed.experiment import Experiment
from odeembed.fields.gru import GRUField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sequence import SequenceNLL
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer

data = replace(yelp, buckets=(8, 11, 14), min_length=5, longer="leave", held_out=0.02)
grid = SolveConfig(solver="midpoint", steps=1)
flow = JumpFlow(hidden=256, field=GRUField(), config=grid, directions=("forward",))
model = Seq2Seq(
    embed_dim=256, encoder=JumpFlow(hidden=256, field=None), decoder=JumpDecoder(flow), latent=256
)
optimizer = Optimizer(peak=3e-3, warmup=200, clip=5.0, b2=0.98)
small = Experiment(
    data=data,
    model=model,
    objective=SequenceNLL(negatives=1024, replaced=0.1),
    optimizer=optimizer,
    steps=8000,
    evaluate_every=2000,
    checkpoint_every=1000,
    scores=(Translations(), BetweenTokens(), Probes()),
)
wide = model.clone(
    embed_dim=512,
    encoder=JumpFlow(hidden=512, field=None),
    decoder=JumpDecoder(replace(flow, hidden=512)),
    latent=512,
)
full = replace(
    small,
    data=replace(data, batch_tokens=4096),
    model=wide,
    objective=SequenceNLL(replaced=0.1),
    steps=40_000,
    evaluate_every=4000,
    checkpoint_every=2000,
)
plain = replace(small, objective=SequenceNLL(negatives=1024))
experiments = {"small": small, "plain": plain, "full": full}
