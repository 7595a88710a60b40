"""SCAN, simple split: commands to actions, by a flow that jumps at each action and attends to the command.

    odeembed train configs/scan_jump.py --size small    # one CPU core, minutes

scan_addprim_jump.py is the split that asks for a verb in constructions it was never seen in. The corpus is not part of
this project: put tasks_{train,test}_simple.txt.gz and tasks_{train,test}_addprim_jump.txt.gz into $ODEEMBED_DATA/scan.
"""

from dataclasses import replace

from repeat_jump import flow as forward
from repeat_jump import optimizer

from odeembed.data.sources import Scan
from odeembed.data.text import TextData
from odeembed.data.vocabulary import Words
from odeembed.evaluate.translations import Translations
from odeembed.experiment import Experiment
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sequence import SequenceNLL

data = TextData(
    train=Scan(("scan/tasks_train_simple.txt.gz",)),
    test=Scan(("scan/tasks_test_simple.txt.gz",)),
    held_out=0.02,  # of the training pairs, for valid
    vocabulary=Words(),
    unit="pair",
    buckets=(10, 20, 32, 48),
    batch_tokens=1536,
    min_length=1,
)
flow = replace(forward, hidden=128)
model = Seq2Seq(
    embed_dim=64,
    encoder=JumpFlow(hidden=96, field=None),
    decoder=JumpDecoder(flow),
    latent=64,
    heads=1,
)
small = Experiment(
    data=data,
    model=model,
    objective=SequenceNLL(dropout=0.1),
    optimizer=optimizer,
    steps=5000,
    evaluate_every=2500,
    checkpoint_every=500,
    scores=(Translations(),),
)
full = replace(
    small,
    model=model.clone(
        encoder=JumpFlow(hidden=192, field=None), decoder=JumpDecoder(replace(flow, hidden=256))
    ),
    steps=20_000,
)
experiments = {"small": small, "full": full}
