"""Who dies in hospital, of 4,000 stays in intensive care: an ODE-RNN on PhysioNet 2012, set A, five folds.

    for fold in 0 1 2 3 4; do odeembed train configs/physionet_odernn.py --size small --seed $fold; done

The seed is the fold that is tested on. Times are in units of 48 hours, values between 0 and 1 by the training split.
The other physionet_*.py take data and steps from here: an RNN that is told the distances between its times, a relative
of the GRU-D and a neural CDE, of as many parameters; physionet_latent.py interpolates. The corpus is not part of this
project: put set-a.csv.xz and Outcomes-a.txt into $ODEEMBED_DATA/physionet2012.
"""

from dataclasses import replace

from odeembed.data.recordings import PhysioNet2012
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

data = SeriesData(
    PhysioNet2012(),
    folds=5,
    buckets=(64, 96, 128, 224),
    batch_times=64 * 64,
    scaling="range",
    time_unit=48.0,
)
grid = SolveConfig(solver="midpoint", steps=1)
flow = JumpFlow(hidden=48, field=MLPField((48,)), config=grid, directions=("forward",))
small = Experiment(
    data=data,
    model=SeriesClassifier(Recurrent(flow), channels=41, classes=2),
    objective=Classification(),
    optimizer=Optimizer(peak=3e-3, warmup=50, clip=5.0, weight_decay=0.01),
    steps=600,
    evaluate_every=100,
    checkpoint_every=100,
    monitor="cross_entropy",
    scores=(LabelScores(steps=(1, 2), rtols=()),),
)
full = replace(
    small,
    model=SeriesClassifier(
        Recurrent(flow.clone(hidden=128, field=MLPField((128, 128)))), channels=41, classes=2
    ),
    steps=2000,
)
experiments = {"small": small, "full": full}


def read_by(
    small: Recurrent | Controlled, full: Recurrent | Controlled, like: dict[str, Experiment] = experiments
) -> dict[str, Experiment]:
    """The same experiments with another reader at each size."""
    return {
        size: replace(like[size], model=like[size].model.clone(reader=reader))
        for size, reader in (("small", small), ("full", full))
    }
