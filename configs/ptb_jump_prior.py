"""A continuous flow as prior, fitted by flow matching to the codes of the ptb_jump of its seed, which stay as they are.

    odeembed train configs/ptb_jump.py && odeembed train configs/ptb_jump_prior.py

The other ptb_*_prior.py do the same for their models.
"""

from dataclasses import replace
from typing import cast

from ptb_jump import experiments as jump

from odeembed.experiment import Experiment
from odeembed.fields.mlp import MLPField
from odeembed.models.flow import ContinuousFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.objectives.sentence_vae import CodeFlowMatching
from odeembed.solve.config import SolveConfig

prior = ContinuousFlow(
    MLPField(hidden=(256, 256), time=True, size_at_start=0.0), SolveConfig(solver="rk4", steps=8)
)
kept = ("encoder", "moments", "decoder", "embedding", "bias", "read_out")


def with_prior(config: str, experiments: dict[str, Experiment]) -> dict[str, Experiment]:
    """Only the prior is trained, on what the encoder makes of the training sentences."""
    return {
        size: replace(
            one,
            model=cast(SentenceVAE, one.model).clone(prior=prior),
            objective=CodeFlowMatching(),
            optimizer=replace(one.optimizer, frozen=kept, peak=2e-3),
            steps=3 * one.steps,  # none of them says a sentence, so that they are cheap
            evaluate_every=one.steps,
            monitor="prior_nll",
            init_from=f"runs/{config}-{size}-seed{{seed}}",
            init_only=kept,
        )
        for size, one in experiments.items()
    }


experiments = with_prior("ptb_jump", jump)
