"""moons_matching on a checkerboard."""

from moons_flow import on
from moons_matching import experiments as matching

experiments = on("checkerboard", matching)
