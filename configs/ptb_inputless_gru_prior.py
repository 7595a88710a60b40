"""A continuous flow as prior of ptb_inputless_gru's codes, as in ptb_jump_prior."""

from ptb_inputless_gru import experiments as coder
from ptb_jump_prior import with_prior

experiments = with_prior("ptb_inputless_gru", coder)
