"""The demonstration's experiment: word vectors from the documentation that Python and the installed packages carry.

About 1.3 million words, no download, a few minutes on two CPU cores. It stands in the package and not among the
configs, so that `odeembed demo` has it wherever the package is installed; configs/demo.py takes it from here.
"""

from odeembed.data.sources import InstalledDocs
from odeembed.data.text import TextData
from odeembed.data.vocabulary import Words
from odeembed.evaluate.neighbor_pairs import NeighborPairs
from odeembed.experiment import Experiment
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.objectives.masked_interpolation import MaskedInterpolation, Masking
from odeembed.train.optimizer import Optimizer

PAIRS = (
    ("tuple", "list"),
    ("row", "column"),
    ("rows", "columns"),
    ("float", "int"),
    ("width", "height"),
    ("maximum", "minimum"),
    ("true", "false"),
    ("method", "function"),
    ("first", "last"),
    ("left", "right"),
    ("file", "directory"),
    ("input", "output"),
    ("sine", "cosine"),
    ("encode", "decode"),
    ("start", "end"),
    ("positive", "negative"),
    ("upper", "lower"),
    ("horizontal", "vertical"),
    ("before", "after"),
    ("argument", "parameter"),
)

small = Experiment(
    data=TextData(
        train=InstalledDocs(),
        held_out=0.01,
        vocabulary=Words(pattern=r"[a-z]+(?:'[a-z]+)?", lowercase=True, min_count=8, oov="drop"),
        buckets=(8, 16, 32),
        batch_tokens=2048,
    ),
    model=MaskedInterpolator(embed_dim=64, body=Jump(JumpFlow(hidden=64))),
    objective=MaskedInterpolation(
        masking=Masking(rate=0.2, span=2.0),
        held_out=Masking(rate=0.25, law="uniform"),
        targets="all",
        negatives=512,
    ),
    optimizer=Optimizer(peak=6e-3, warmup=100, b2=0.98),
    steps=1500,
    evaluate_every=500,
    checkpoint_every=250,
    scores=(NeighborPairs(pairs=PAIRS),),
)
experiments = {"small": small}
