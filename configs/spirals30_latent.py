"""A latent ODE on a thousand spirals, each seen at 30 of a hundred times: its paths between them, after and before.

    odeembed train configs/spirals30_latent.py --size small    # one CPU core, minutes
    odeembed plot runs/spirals30_latent-small-seed0            # the paths

spirals50_latent.py and spirals100_latent.py see more times; the *_rnn.py predict what comes next. The size `drawn` has
a field whose last layer is drawn as the others are, the size `first` a code that is always at the first time, and the
size `neither` both.
"""

from dataclasses import replace

from odeembed.data.series import SeriesData
from odeembed.data.spirals import Spirals
from odeembed.evaluate.forecasts import Forecasts
from odeembed.experiment import Experiment
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import FlowDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.series import LatentODE, Recurrent
from odeembed.objectives.series import SeriesELBO
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer


def seen_at(observed: int, like: Experiment) -> Experiment:
    """The same of spirals that are seen so often."""
    data = SeriesData(
        Spirals(observed=observed), buckets=(observed,), batch_times=200 * observed, time_unit=50.0
    )
    return replace(like, data=data)


# The last layer starts small, so that paths begin by staying where they are.
decoder = FlowDecoder(
    hidden=16,
    field=MLPField(hidden=(64,), size_at_start=0.1),
    config=SolveConfig(solver="dopri5", steps=None, rtol=1e-3, atol=1e-3),
)
model = LatentODE(
    reader=Recurrent(JumpFlow(hidden=25, field=None), gaps=True, clock=True),
    decoder=decoder,
    channels=2,
    latent=8,
    anywhere=True,
)
small = Experiment(
    data=SeriesData(),
    model=model,
    objective=SeriesELBO(noise=0.072),
    optimizer=Optimizer(peak=3e-3, warmup=100, clip=5.0),
    steps=5000,
    evaluate_every=500,
    checkpoint_every=500,
    monitor="mse",
    scores=(Forecasts(),),
)
drawn = model.clone(decoder=decoder.clone(field=decoder.field.clone(size_at_start=1.0)))
sizes = {
    "small": small,
    "drawn": replace(small, model=drawn),
    "first": replace(small, model=model.clone(anywhere=False)),
    "neither": replace(small, model=drawn.clone(anywhere=False)),
    "full": replace(small, steps=20_000),
}
experiments = {size: seen_at(30, one) for size, one in sizes.items()}
