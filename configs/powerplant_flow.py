"""A continuous normalizing flow on UCI's power plant: five rounded measurements, 9,568 rows.

    odeembed train configs/powerplant_flow.py --size small    # one CPU core, minutes
    python benchmarks/densities.py                            # a Gaussian and a kernel density estimate

The other *_flow.py of tables take everything from here but the table; the *_planar.py have a planar flow instead. Each
column has mean 0 and standard deviation 1, and rounded values are spread over what they were rounded from. The corpus
is not part of this project: put power-plant.txt.gz into $ODEEMBED_DATA/uci.
"""

from dataclasses import replace

from moons_flow import experiments as moons

from odeembed.data.points import PointData, Table
from odeembed.experiment import Experiment
from odeembed.fields.concat_squash import ConcatSquashField
from odeembed.models.density import DensityEstimator
from odeembed.models.flow import ContinuousFlow
from odeembed.solve.config import SolveConfig


def table(name: str, columns: int) -> PointData:
    """A tenth of the rows for valid, a tenth for test."""
    return PointData(Table(f"uci/{name}.gz", columns, dequantised=True), standardised=True)


# powerplant_coarse.py has half as many steps, which are not enough.
flow = ContinuousFlow(
    ConcatSquashField(size_at_start=0.0), SolveConfig(solver="rk4", steps=8), trace="hutchinson"
)
small = replace(
    moons["small"],
    data=table("power-plant.txt", 5),
    model=DensityEstimator(flow, width=5),
    steps=8000,
    evaluate_every=250,
)
full = replace(
    small,
    model=DensityEstimator(
        flow.clone(field=ConcatSquashField(hidden=(256, 256, 256), size_at_start=0.0)), width=5
    ),
    steps=20_000,
    evaluate_every=500,
)
experiments = {"small": small, "full": full}


def on(name: str, columns: int, like: dict[str, Experiment] = experiments) -> dict[str, Experiment]:
    """The same experiments on another table."""
    return {
        size: replace(one, data=table(name, columns), model=one.model.clone(width=columns))
        for size, one in like.items()
    }
