"""wikitext2_jump with an attention block integrated over depth: four evaluations of one block, by midpoint steps."""

from dataclasses import replace

from wikitext2_jump import experiments as jump

from odeembed.fields.attention import AttentionField
from odeembed.models.interpolator import Depth, MaskedInterpolator
from odeembed.solve.config import SolveConfig


def depth(width: int, expansion: float, blocks: int) -> MaskedInterpolator:
    """A block with as many parameters, the embedding left out, as the flows have, evaluated `blocks` times."""
    config = SolveConfig(solver="midpoint", steps=blocks // 2)
    body = Depth(width, AttentionField(expansion=expansion), float(blocks), config)
    return MaskedInterpolator(embed_dim=128, body=body)


# The usual rate for attention; the 4e-3 of the recurrent models did no better.
optimizer = replace(jump["small"].optimizer, peak=1e-3)
experiments = {
    name: replace(one, model=model, objective=replace(one.objective, targets="hidden"), optimizer=optimizer)
    for name, one, model in (
        ("small", jump["small"], depth(128, 7.0, 4)),
        ("full", jump["full"], depth(256, 5.5, 6)),
    )
}
