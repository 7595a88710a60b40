"""mnist_resnet6 with one block: as many parameters as the ODE-Net has, but for the time."""

from mnist_resnet6 import through

from odeembed.models.image_classifier import ResidualBlocks

experiments = through(ResidualBlocks(1))
