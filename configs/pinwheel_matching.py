"""moons_matching on a pinwheel."""

from moons_flow import on
from moons_matching import experiments as matching

experiments = on("pinwheel", matching)
