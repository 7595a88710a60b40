"""yelp_jump with an inputless decoder: one path from the code, from which every word is read at its own time."""

from ptb_flow import decoder, inputless
from yelp_jump import experiments as jump

experiments = {size: inputless(one, decoder) for size, one in jump.items()}
