"""The discrete twin of grammar_jump: a GRU decoder with as many parameters."""

from dataclasses import replace

from grammar_jump import experiments as jump
from grammar_jump import model

from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow

# The width is chosen for as many parameters, those of the words left out, as the flow with its jumps has.
decoder = JumpDecoder(JumpFlow(hidden=167, field=None, directions=("forward",)))
experiments = {size: replace(one, model=model.clone(decoder=decoder)) for size, one in jump.items()}
