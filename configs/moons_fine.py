"""moons_flow on a grid of three times as many steps, fine enough for the fields that training ends with."""

from dataclasses import replace

from moons_flow import experiments as flow

from odeembed.experiment import replace_nodes
from odeembed.solve.config import SolveConfig

experiments = {
    size: replace_nodes(one, SolveConfig, lambda config: replace(config, steps=24))
    for size, one in flow.items()
}
