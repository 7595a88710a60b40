"""Which of nine speakers said it: an ODE-RNN on JapaneseVowels, 12 channels of 7 to 29 times, of which a share is lost.

    odeembed train configs/vowels_odernn.py --size small        # three times of ten lost; one CPU core, a minute
    odeembed train configs/vowels_odernn.py --size dropped70    # seven of ten

The other vowels_*.py take everything from here but the reader: an RNN that is told the distances between its times, a
relative of the GRU-D, a neural CDE. The widths are chosen for as many parameters. What is lost is the same for all. The
corpus is not part of this project: put JapaneseVowels_{TRAIN,TEST}.ts.gz into $ODEEMBED_DATA/timeseries.
"""

from dataclasses import replace

from odeembed.data.recordings import TimeSeriesFile
from odeembed.data.series import SeriesData
from odeembed.evaluate.classified import LabelScores
from odeembed.experiment import Experiment
from odeembed.fields.mlp import MLPField
from odeembed.models.controlled import Controlled
from odeembed.models.encoders import JumpFlow
from odeembed.models.series import Recurrent, SeriesClassifier
from odeembed.objectives.classification import Classification
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer


def file(part: str) -> TimeSeriesFile:
    """A part of the corpus."""
    return TimeSeriesFile(f"timeseries/JapaneseVowels_{part}.ts.gz")


data = SeriesData(
    train=file("TRAIN"),
    test=file("TEST"),
    buckets=(32,),
    batch_times=32 * 32,
    scaling="standard",
    time_unit=10.0,
)
grid = SolveConfig(solver="midpoint", steps=1)
flow = JumpFlow(hidden=48, field=MLPField((48,)), config=grid, directions=("forward",))
small = Experiment(
    data=replace(data, dropped=0.3),
    model=SeriesClassifier(Recurrent(flow), channels=12, classes=9),
    objective=Classification(),
    optimizer=Optimizer(peak=3e-3, warmup=50, clip=5.0, weight_decay=0.01),
    steps=1000,
    evaluate_every=250,
    checkpoint_every=250,
    monitor="cross_entropy",
    scores=(LabelScores(steps=(1, 2, 4), rtols=()),),
)
experiments = {
    "small": small,
    **{f"dropped{share}": replace(small, data=replace(data, dropped=share / 100)) for share in (0, 50, 70)},
}


def read_by(
    reader: Recurrent | Controlled, like: dict[str, Experiment] = experiments
) -> dict[str, Experiment]:
    """The same experiments with another reader."""
    return {size: replace(one, model=one.model.clone(reader=reader)) for size, one in like.items()}
