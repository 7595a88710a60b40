"""A continuous normalizing flow on POWER, preprocessed as for MAF and FFJORD: six columns.

    odeembed train configs/power_flow.py --size full      # one accelerator

The published tables are not part of this project. Put train.npy, valid.npy and test.npy, as preprocessed and split by
Papamakarios et al. 2017, into $ODEEMBED_DATA/power; gas, hepmass, miniboone and bsds300 likewise. A file with other
columns is refused.
"""

from dataclasses import replace

from powerplant_flow import experiments as table

from odeembed.data.points import PointData, Table
from odeembed.experiment import Experiment
from odeembed.fields.concat_squash import ConcatSquashField


def published(name: str, columns: int, hidden: tuple[int, ...], rows: int) -> dict[str, Experiment]:
    """The field has the widths that FFJORD's has in all its flows together; the solver is the one of all our tables."""
    train, valid, test = (Table(f"{name}/{split}.npy", columns) for split in ("train", "valid", "test"))
    data = PointData(train, valid, test, rows=rows)
    field = ConcatSquashField(hidden, "softplus", size_at_start=0.0)
    return {
        size: replace(
            one, data=data, model=one.model.clone(flow=one.model.flow.clone(field=field), width=columns)
        )
        for size, one in table.items()
    }


experiments = published("power", 6, (60, 60, 60), 10_000)
