"""The discrete twin of scan_jump: a GRU decoder with as many parameters."""

from repeat_gru import without_field
from scan_jump import experiments as jump

# The widths are chosen for as many parameters, those of the words left out, as the flow with its jumps has.
widths = {"small": 150, "full": 304}
experiments = {size: without_field(one, widths[size]) for size, one in jump.items()}
