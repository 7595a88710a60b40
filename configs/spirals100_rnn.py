"""spirals30_rnn with 100 of a hundred times seen."""

from spirals30_latent import seen_at
from spirals30_rnn import experiments as thirty

experiments = {size: seen_at(100, one) for size, one in thirty.items()}
