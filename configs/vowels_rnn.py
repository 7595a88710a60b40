"""vowels_odernn with an RNN whose state rests between two times, and that is told the distances between them."""

from vowels_odernn import read_by

from odeembed.models.encoders import JumpFlow
from odeembed.models.series import Recurrent

experiments = read_by(Recurrent(JumpFlow(hidden=59, field=None, directions=("forward",)), gaps=True))
