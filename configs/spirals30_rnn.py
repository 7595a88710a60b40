"""An RNN on spirals seen at 30 of a hundred times: it predicts what comes next, and takes it for seen.

odeembed train configs/spirals30_rnn.py --size small    # 25 units, as the paper's
odeembed train configs/spirals30_rnn.py --size wide     # as many parameters as the latent ODE
"""

from dataclasses import replace

from spirals30_latent import experiments as latent

from odeembed.experiment import Experiment
from odeembed.models.encoders import JumpFlow
from odeembed.models.series import Recurrent, SeriesPredictor
from odeembed.objectives.series import NextObservation


def predicted_by(hidden: int, like: Experiment) -> Experiment:
    """The same by an RNN of that width, in half the steps."""
    flow = JumpFlow(hidden=hidden, field=None, directions=("forward",))
    return replace(
        like,
        model=SeriesPredictor(Recurrent(flow, gaps=True), channels=2, hidden=20),
        objective=NextObservation(noise=0.072),
        optimizer=replace(like.optimizer, peak=1e-2),
        steps=like.steps // 2,
    )


experiments = {
    "small": predicted_by(25, latent["small"]),
    "wide": predicted_by(46, latent["small"]),
    "full": predicted_by(46, latent["full"]),
}
