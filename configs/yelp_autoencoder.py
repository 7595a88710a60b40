"""yelp_gru as an autoencoder: its codes are points, and nothing is asked of where they lie."""

from ptb_autoencoder import of_points
from yelp_gru import experiments as gru

experiments = {size: of_points(one) for size, one in gru.items()}
