"""The discrete twin of yelp_flow: a GRU fed the code and the time, no words, with as many parameters."""

from ptb_flow import inputless
from ptb_inputless_gru import decoder
from yelp_jump import experiments as jump

experiments = {size: inputless(one, decoder) for size, one in jump.items()}
