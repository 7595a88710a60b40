"""ptb_gru as an autoencoder: its codes are points, and nothing is asked of where they lie."""

from dataclasses import replace

from ptb_gru import experiments as gru

from odeembed.evaluate.sentence_codes import ImportanceWeighted
from odeembed.experiment import Experiment


def of_points(one: Experiment) -> Experiment:
    """Without a posterior there is no likelihood to estimate."""
    scores = tuple(score for score in one.scores if not isinstance(score, ImportanceWeighted))
    return replace(one, objective=replace(one.objective, deterministic=True), scores=scores)


experiments = {size: of_points(one) for size, one in gru.items()}
