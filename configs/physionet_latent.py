"""Stays in intensive care to codes and back: a latent ODE, an ODE-RNN as its encoder, on PhysioNet 2012, set A.

    odeembed train configs/physionet_latent.py --size small    # one CPU core, minutes

What was seen is read and said again through one code, as Rubanova et al. 2019 measure it. physionet_latentrnn.py has an
RNN for encoder, physionet_rnnvae.py no equation at all. The data are those of physionet_odernn.py, with values between
0 and 1 by the training split, as theirs.
"""

from dataclasses import replace

from physionet_odernn import experiments as mortality
from vowels_odernn import flow, grid

from odeembed.experiment import Experiment
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import FlowDecoder, JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.series import LatentODE, Recurrent
from odeembed.objectives.sentence_vae import Annealing
from odeembed.objectives.series import SeriesELBO

encoder = flow.clone(directions=("backward",))
decoder = FlowDecoder(hidden=48, field=MLPField((48,), size_at_start=0.1), config=grid)
objective = SeriesELBO(noise=0.05, annealing=Annealing(rise=200))


def through(encoder: Recurrent, decoder: FlowDecoder | JumpDecoder) -> dict[str, Experiment]:
    """The experiments with these."""
    model = LatentODE(encoder, decoder, channels=41, latent=20, hidden=48)
    return {
        size: replace(
            one,
            data=replace(one.data, scaling="range"),
            model=model,
            objective=objective,
            steps=4000,
            evaluate_every=400,
            checkpoint_every=400,
            monitor="mse",
            scores=(),
        )
        for size, one in mortality.items()
    }


def rnn(hidden: int) -> Recurrent:
    """An encoder without equation of that width."""
    return Recurrent(JumpFlow(hidden=hidden, field=None, directions=("backward",)), gaps=True)


experiments = through(Recurrent(encoder), decoder)
