"""The discrete twin of captions_jump: a GRU decoder with as many parameters."""

from captions_jump import experiments as jump
from repeat_gru import widths, without_field

experiments = {size: without_field(one, widths[size]) for size, one in jump.items()}
