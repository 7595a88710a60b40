"""The discrete twin of ptb_flow: a GRU with as many parameters, fed the same code and times and no word."""

from ptb_flow import inputless
from ptb_jump import experiments as jump

from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow

# The width is chosen for as many parameters, those of the words left out, as the flow has.
decoder = JumpDecoder(JumpFlow(hidden=256, field=None, directions=("forward",)), tokens=False, waves=6)
experiments = {size: inputless(one, decoder) for size, one in jump.items()}
