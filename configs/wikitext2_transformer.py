"""The discrete twin of wikitext2_depth: the same block applied as many times by y <- y + block(y)."""

from dataclasses import replace

from wikitext2_jump import experiments as jump

from odeembed.fields.attention import AttentionField
from odeembed.models.interpolator import MaskedInterpolator, Transformer


def transformer(width: int, expansion: float, layers: int) -> MaskedInterpolator:
    """Layers that share the weights of one block, the block of wikitext2_depth."""
    body = Transformer(width, AttentionField(expansion=expansion), layers, tied=True)
    return MaskedInterpolator(embed_dim=128, body=body)


# The usual rate for attention; the 4e-3 of the recurrent models did no better.
optimizer = replace(jump["small"].optimizer, peak=1e-3)
experiments = {
    name: replace(one, model=model, objective=replace(one.objective, targets="hidden"), optimizer=optimizer)
    for name, one, model in (
        ("small", jump["small"], transformer(128, 7.0, 4)),
        ("full", jump["full"], transformer(256, 5.5, 6)),
    )
}
