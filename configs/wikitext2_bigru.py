"""The discrete twin of wikitext2_jump: a bidirectional GRU of equal size, fed a mask vector at the hidden tokens."""

from dataclasses import replace

from wikitext2_jump import experiments as jump

from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator


def gru(hidden: int) -> MaskedInterpolator:
    """The width is chosen for as many parameters, the embedding left out, as the flows have."""
    return MaskedInterpolator(embed_dim=128, body=Jump(JumpFlow(hidden=hidden, field=None), mask_input=True))


experiments = {
    "small": replace(jump["small"], model=gru(163)),
    "full": replace(jump["full"], model=gru(341)),
}
