"""spirals30_latent with 50 of a hundred times seen."""

from spirals30_latent import experiments as thirty
from spirals30_latent import seen_at

experiments = {size: seen_at(50, one) for size, one in thirty.items()}
