"""powerplant_flow on a grid of half as many steps, which training finds fields for that it does not resolve."""

from dataclasses import replace

from powerplant_flow import experiments as flow

from odeembed.experiment import replace_nodes
from odeembed.solve.config import SolveConfig

experiments = {
    size: replace_nodes(one, SolveConfig, lambda config: replace(config, steps=4))
    for size, one in flow.items()
}
