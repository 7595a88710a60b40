"""Multi30k, English to German: a flow that jumps at each piece of a word and attends to the source.

    odeembed train configs/multi30k_jump.py --size small    # one CPU core, minutes
    odeembed train configs/multi30k_jump.py --size full     # one accelerator

The corpus is not part of this project: put train, val and test_2016_flickr, .en.gz and .de.gz, into
$ODEEMBED_DATA/multi30k.
"""

from dataclasses import replace

from repeat_jump import flow as forward
from repeat_jump import optimizer

from odeembed.data.sources import PairFiles
from odeembed.data.text import TextData
from odeembed.data.vocabulary import SentencePiece
from odeembed.decode import Decoding
from odeembed.evaluate.between_tokens import BetweenTokens
from odeembed.evaluate.translations import Translations
from odeembed.experiment import Experiment
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sequence import SequenceNLL


def pairs(name: str) -> PairFiles:
    """A part of the corpus."""
    return PairFiles((f"multi30k/{name}.en.gz",), (f"multi30k/{name}.de.gz",))


data = TextData(
    train=pairs("train"),
    valid=pairs("val"),
    test=pairs("test_2016_flickr"),
    vocabulary=SentencePiece(size=4000),
    unit="pair",
    buckets=(16, 24, 36, 64),
    batch_tokens=2048,
    min_length=1,
)
flow = replace(forward, hidden=256)
model = Seq2Seq(
    embed_dim=192,
    encoder=JumpFlow(hidden=192, field=None),
    decoder=JumpDecoder(flow),
    latent=64,
    heads=1,
)
small = Experiment(
    data=data,
    model=model,
    objective=SequenceNLL(label_smoothing=0.1, dropout=0.3),
    optimizer=replace(optimizer, warmup=400),
    steps=4500,
    evaluate_every=1500,
    checkpoint_every=500,
    scores=(Translations(Decoding(beam=4, alpha=1.0)), BetweenTokens()),
)
full = replace(
    small,
    data=replace(data, batch_tokens=4096),
    model=model.clone(
        embed_dim=256,
        encoder=JumpFlow(hidden=256, field=None),
        decoder=JumpDecoder(replace(flow, hidden=512)),
    ),
    steps=12_000,
    objective=replace(small.objective, dropout=0.4),
)
experiments = {"small": small, "full": full}
