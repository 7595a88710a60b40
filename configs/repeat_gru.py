"""The discrete twin of repeat_jump: a GRU decoder with as many parameters."""

from dataclasses import replace

from repeat_jump import experiments as jump

from odeembed.experiment import Experiment
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow


def without_field(one: Experiment, hidden: int) -> Experiment:
    """The same with a GRU of that width as decoder."""
    decoder = JumpDecoder(JumpFlow(hidden=hidden, field=None, directions=("forward",)))
    return replace(one, model=one.model.clone(decoder=decoder))


# The widths are chosen for as many parameters, those of the words left out, as the flow with its jumps has.
widths = {"small": 309, "plain": 309, "full": 618}
experiments = {size: without_field(one, widths[size]) for size, one in jump.items()}
