"""vowels_odernn with a relative of the GRU-D: states and what was last seen decay between two times."""

from vowels_odernn import flow, read_by

from odeembed.fields.decay import DecayField
from odeembed.models.series import Recurrent

experiments = read_by(Recurrent(flow.clone(hidden=55, field=DecayField()), decay=True))
