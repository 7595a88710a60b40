"""An augmented ODE-Net on the pixels of MNIST: five channels beside the image that are 0 at first, no stem.

    odeembed train configs/mnist_augmented.py --size full    # one accelerator

mnist_pixels has no such channels and as many parameters. The small form reads means over 2 x 2 pixels, and takes two
steps of the midpoint method. Rows and epochs of the full form, and the peak of its learning rate, are the paper's; its
images are not shifted.

References:
  Dupont et al. 2019, Augmented Neural ODEs, section 5.
"""

from dataclasses import replace

from mnist_odenet import config
from mnist_resnet6 import experiments as residual

from odeembed.data.images import ImageData
from odeembed.experiment import Experiment
from odeembed.fields.augmented import Augmented
from odeembed.fields.convolution import PixelField
from odeembed.models.image_classifier import ImageClassifier, ODEBlock, Shrunk
from odeembed.solve.config import SolveConfig
from odeembed.train.optimizer import Optimizer


def on_pixels(field: Augmented | PixelField) -> dict[str, Experiment]:
    """The experiments with this field."""
    small = replace(
        residual["small"],
        optimizer=Optimizer(peak=2e-3, warmup=100),
        model=ImageClassifier(
            Shrunk(2), ODEBlock(field, SolveConfig(solver="midpoint", steps=2)), pooling="flat"
        ),
    )
    full = replace(
        residual["full"],
        data=ImageData(rows=256),
        model=ImageClassifier(
            Shrunk(), ODEBlock(field, replace(config, adjoint="replay", max_steps=128)), pooling="flat"
        ),
        optimizer=Optimizer(peak=1e-3, warmup=200),
        steps=20 * 214,
        evaluate_every=2 * 214,
        checkpoint_every=2 * 214,
    )
    return {"small": small, "full": full}


experiments = on_pixels(Augmented(PixelField(64), extra=5))
