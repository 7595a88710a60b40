"""mnist_odenet with the gradient of the steps that were taken, by replay: RK-Net."""

from dataclasses import replace

from mnist_odenet import experiments as odenet

from odeembed.experiment import replace_nodes
from odeembed.solve.config import SolveConfig

experiments = {
    size: replace_nodes(one, SolveConfig, lambda config: replace(config, adjoint="replay"))
    for size, one in odenet.items()
}
