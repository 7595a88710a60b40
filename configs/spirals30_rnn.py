"""An RNN of 25 units on spirals seen at 30 of a hundred times: it predicts what comes next, and takes it for seen."""

from dataclasses import replace

from spirals30_latent import experiments as latent

from odeembed.models.encoders import JumpFlow
from odeembed.models.series import Recurrent, SeriesPredictor
from odeembed.objectives.series import NextObservation

model = SeriesPredictor(
    Recurrent(JumpFlow(hidden=25, field=None, directions=("forward",)), gaps=True), channels=2, hidden=20
)
experiments = {
    size: replace(
        one,
        model=model,
        objective=NextObservation(noise=0.072),
        optimizer=replace(one.optimizer, peak=1e-2),
        steps=one.steps // 2,
    )
    for size, one in latent.items()
}
