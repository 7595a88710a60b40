"""wikitext2_jump with steps as the error asks for, and with what is said to make them fewer: penalties, random times.

    odeembed train configs/wikitext2_adaptive.py --size small-kinetic1

Every size but `full` is a point of one curve, evaluations of the field a sentence against held-out perplexity; `small`
is the point without any of them. The tolerance is tight enough for a state to need several steps from token to token.
"""

from dataclasses import replace

from wikitext2_jump import experiments as jump
from wikitext2_jump import flow

from odeembed.experiment import Experiment
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.solve.config import Penalty, SolveConfig

config = SolveConfig(solver="bosh3", steps=None, rtol=1e-4, atol=1e-5)


def adaptive(one: Experiment, hidden: int, penalty: Penalty | None = None, jitter: float = 0.0) -> Experiment:
    """An experiment of wikitext2_jump with adaptive steps, its path or its times regularised."""
    body = Jump(replace(flow, hidden=hidden, config=replace(config, penalty=penalty)))
    return replace(
        one,
        model=MaskedInterpolator(embed_dim=128, body=body),
        objective=replace(one.objective, jitter=jitter),
    )


# A point of the curve costs minutes: narrow flows, few steps, and pieces of one length, which is compiled once.
short = replace(
    jump["small"],
    data=replace(jump["small"].data, buckets=(32,)),
    steps=300,
    evaluate_every=300,
    checkpoint_every=300,
    scores=(),
)
penalties = {
    f"{name}{weight:g}": replace(Penalty(), **{name: weight})
    for name in ("kinetic", "jacobian", "taylor")
    for weight in (0.1, 1.0)
}
experiments = {
    "small": adaptive(short, 64),
    **{f"small-{name}": adaptive(short, 64, penalty) for name, penalty in penalties.items()},
    **{f"small-jitter{jitter:g}": adaptive(short, 64, jitter=jitter) for jitter in (0.2, 0.4)},
    "full": adaptive(jump["full"], 256),
}
