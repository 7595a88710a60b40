"""The discrete twin of repeat_flow: a GRU fed the code and the time, no words, with as many parameters."""

from dataclasses import replace

from repeat_jump import experiments as jump

from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow

experiments = {
    size: replace(
        one,
        model=one.model.clone(
            decoder=JumpDecoder(
                JumpFlow(hidden=one.model.latent, field=None, directions=("forward",)), tokens=False, waves=6
            )
        ),
    )
    for size, one in jump.items()
}
