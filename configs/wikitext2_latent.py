"""wikitext2_jump with a latent ODE: the visible tokens are read into z0, and one path from z0 gives all tokens."""

from dataclasses import replace

from wikitext2_jump import experiments as jump

from odeembed.fields.mlp import MLPField
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Latent, MaskedInterpolator


def latent(hidden: int, latent: int, field: int) -> MaskedInterpolator:
    """Encoder and path, with as many parameters, the embedding left out, as the flows have."""
    encoder = JumpFlow(hidden=hidden, directions=("backward",))
    body = Latent(encoder, field=MLPField(hidden=(field,), time=True), latent=latent)
    return MaskedInterpolator(embed_dim=128, body=body)


experiments = {
    name: replace(one, model=model, objective=replace(one.objective, targets="hidden"))
    for name, one, model in (
        ("small", jump["small"], latent(128, 128, 574)),
        ("full", jump["full"], latent(256, 256, 895)),
    )
}
