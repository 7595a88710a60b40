"""physionet_odernn with a relative of the GRU-D: states and what was last seen decay between two times."""

from physionet_odernn import read_by
from vowels_odernn import flow

from odeembed.fields.decay import DecayField
from odeembed.models.series import Recurrent


def reader(hidden: int) -> Recurrent:
    """Of that width."""
    return Recurrent(flow.clone(hidden=hidden, field=DecayField()), decay=True)


experiments = read_by(reader(55), reader(167))
