"""The GRU decoder of yelp_gru as a language model: no code, and so no encoder. It judges what the others decode."""

from ptb_lm import without_code
from yelp_gru import experiments as gru

experiments = {"small": without_code(gru["small"], 2), "full": without_code(gru["full"], 1)}
