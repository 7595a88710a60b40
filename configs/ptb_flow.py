"""ptb_jump with an inputless decoder: one path from the code, from which every word is read at its own time."""

from dataclasses import replace

from ptb_jump import experiments as jump
from ptb_jump import grid, model

from odeembed.experiment import Experiment
from odeembed.fields.gru import GRUField
from odeembed.models.decoders import FlowDecoder, JumpDecoder
from odeembed.objectives.sentence_vae import Annealing


def inputless(one: Experiment, decoder: FlowDecoder | JumpDecoder) -> Experiment:
    """All that is known of a sentence is in its code, so that more of it may be there at less cost."""
    annealing = Annealing(0.1, 1.0, hold=one.steps // 8, rise=one.steps // 2)
    objective = replace(one.objective, annealing=annealing, free_bits=0.4, dropout=0.0)
    return replace(one, model=model.clone(decoder=decoder), objective=objective)


decoder = FlowDecoder(hidden=256, field=GRUField(waves=6, condition=True), config=grid)
experiments = {size: inputless(one, decoder) for size, one in jump.items()}
