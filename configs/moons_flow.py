"""A continuous normalizing flow on two moons, trained by its likelihood with the exact trace.

    odeembed train configs/moons_flow.py --size small    # one CPU core, minutes
    odeembed plot runs/moons_flow-small-seed0            # the density, and how it comes about

The *_flow.py of the other patterns take everything from here but the pattern; the *_matching.py train the same flow by
flow matching. The densities are known, so that the distance to them is measured.
"""

from dataclasses import replace
from typing import cast

from odeembed.data.densities import Pattern, ToyDensity
from odeembed.data.points import PointData
from odeembed.evaluate.densities import Densities
from odeembed.experiment import Experiment
from odeembed.fields.concat_squash import ConcatSquashField
from odeembed.models.density import DensityEstimator
from odeembed.models.flow import ContinuousFlow
from odeembed.objectives.density import Likelihood
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer


def points(pattern: Pattern, count: int = 100_000) -> PointData:
    """Fresh points for each split."""
    train, valid, test = (ToyDensity(pattern, n, seed) for seed, n in enumerate((count, 2000, 10_000)))
    return PointData(train, valid, test)


flow = ContinuousFlow(ConcatSquashField(size_at_start=0.0), SolveConfig(solver="rk4", steps=8))
small = Experiment(
    data=points("moons"),
    model=DensityEstimator(flow),
    objective=Likelihood(),
    optimizer=Optimizer(peak=3e-3, warmup=100, clip=5.0),
    steps=2000,
    evaluate_every=500,
    checkpoint_every=500,
    monitor="nats",
    scores=(Densities(),),
)
full = replace(
    small,
    data=points("moons", 1_000_000),
    model=DensityEstimator(flow.clone(field=ConcatSquashField(hidden=(128, 128, 128), size_at_start=0.0))),
    optimizer=replace(small.optimizer, peak=1e-3),
    steps=20_000,
    evaluate_every=2000,
    checkpoint_every=2000,
)
experiments = {"small": small, "full": full}


def on(pattern: Pattern, like: dict[str, Experiment] = experiments) -> dict[str, Experiment]:
    """The same experiments on another pattern."""
    return {size: _drawn_from(pattern, one) for size, one in like.items()}


def _drawn_from(pattern: Pattern, one: Experiment) -> Experiment:
    data = cast(PointData, one.data)
    splits = {split: replace(getattr(data, split), pattern=pattern) for split in ("train", "valid", "test")}
    return replace(one, data=replace(data, **splits))
