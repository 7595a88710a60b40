"""moons_matching on two spirals."""

from moons_flow import on
from moons_matching import experiments as matching

experiments = on("spirals", matching)
