"""A continuous flow as prior of ptb_flow's codes, as in ptb_jump_prior."""

from ptb_flow import experiments as coder
from ptb_jump_prior import with_prior

experiments = with_prior("ptb_flow", coder)
