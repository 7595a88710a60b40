"""grammar_jump as an autoencoder: its codes are points, and nothing is asked of where they lie."""

from grammar_jump import experiments as jump
from ptb_autoencoder import of_points

experiments = {size: of_points(one) for size, one in jump.items()}
