"""physionet_latent without an equation: an RNN reads, and another, that is given the code and the time, says."""

from physionet_latent import rnn, through

from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow

said = JumpDecoder(JumpFlow(hidden=30, field=None, directions=("forward",)), tokens=False, waves=4)
experiments = through(rnn(55), said)
