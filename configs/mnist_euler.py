"""mnist_resnet6 with six blocks that share their weights: six steps of Euler's method through one field."""

from mnist_resnet6 import through

from odeembed.models.image_classifier import ODEBlock
from odeembed.solve.config import SolveConfig

experiments = through(ODEBlock(config=SolveConfig(solver="euler", steps=6)))
