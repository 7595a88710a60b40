"""physionet_odernn with an RNN whose state rests between two times, and that is told the distances between them."""

from physionet_odernn import read_by

from odeembed.models.encoders import JumpFlow
from odeembed.models.series import Recurrent


def reader(hidden: int) -> Recurrent:
    """Of that width."""
    return Recurrent(JumpFlow(hidden=hidden, field=None, directions=("forward",)), gaps=True, decay=True)


experiments = read_by(reader(54), reader(167))
