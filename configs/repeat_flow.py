"""repeat_jump without inputs: one path from the code, from which every word is read at its own time."""

from dataclasses import replace

from repeat_jump import experiments as jump
from repeat_jump import grid

from odeembed.fields.gru import GRUField
from odeembed.models.decoders import FlowDecoder

experiments = {
    size: replace(
        one,
        model=one.model.clone(
            decoder=FlowDecoder(hidden=one.model.latent, field=GRUField(waves=6, condition=True), config=grid)
        ),
    )
    for size, one in jump.items()
}
