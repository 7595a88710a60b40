"""moons_matching on eight Gaussians."""

from moons_flow import on
from moons_matching import experiments as matching

experiments = on("8gaussians", matching)
