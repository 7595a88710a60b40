"""The GRU decoder of ptb_gru as a language model: no code, and so no encoder. It judges what the others decode."""

from dataclasses import replace

from ptb_gru import experiments as gru

from odeembed.evaluate.sentence_codes import ImportanceWeighted
from odeembed.experiment import Experiment


def without_code(one: Experiment, every: int) -> Experiment:
    """Its likelihood is exact: of importance weighting's samples one is enough."""
    return replace(one, model=one.model.clone(latent=None), scores=(ImportanceWeighted(1, every=every),))


experiments = {"small": without_code(gru["small"], 2), "full": without_code(gru["full"], 1)}
