"""An ODE-Net on MNIST, its gradient by the continuous adjoint: the memory of a step does not grow with the solve.

    odeembed train configs/mnist_odenet.py --size small    # one CPU core, minutes

References:
  Chen et al. 2018, section 3 and table 1.
"""

from dataclasses import replace

from mnist_resnet6 import through

from odeembed.models.image_classifier import ODEBlock
from odeembed.solve.config import SolveConfig

# One step size for all images of a batch: what one of them asks for is done for all, in fewer turns of the loop. The
# estimate of a first step takes two evaluations, and is so short that a step more is needed.
config = SolveConfig(
    solver="dopri5",
    steps=None,
    rtol=1e-3,
    atol=1e-3,
    max_steps=64,
    first_step=0.25,
    control="batch",
    adjoint="backsolve",
)
experiments = {
    "small": through(ODEBlock(config=replace(config, rtol=1e-2, atol=1e-2)))["small"],
    # To this tolerance what the tensor cores of a GPU leave out is no step more.
    "full": through(ODEBlock(config=replace(config, products="tensorfloat32")))["full"],
}
