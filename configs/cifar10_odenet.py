"""mnist_odenet on CIFAR-10, images shifted and mirrored.

    odeembed train configs/cifar10_odenet.py --size full    # one accelerator

The corpus is not part of this project: TFDS fetches and prepares `cifar10` where TensorFlow is installed.
"""

from dataclasses import replace

from mnist_odenet import experiments as mnist

from odeembed.data.images import ImageData
from odeembed.experiment import Experiment


def on_cifar10(one: Experiment, epochs: int, ema: float) -> Experiment:
    """The same experiment, for so many epochs of 351 batches."""
    return replace(
        one,
        data=ImageData("cifar10", train="train[:45000]", valid="train[45000:]", rows=128, crop=4, flip=True),
        optimizer=replace(one.optimizer, warmup=351),
        steps=epochs * 351,
        ema=ema,
        evaluate_every=2 * 351,
        checkpoint_every=2 * 351,
    )


experiments = {"small": on_cifar10(mnist["small"], 2, 0.99), "full": on_cifar10(mnist["full"], 60, 0.999)}
