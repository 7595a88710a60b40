"""moons_matching on two circles."""

from moons_flow import on
from moons_matching import experiments as matching

experiments = on("circles", matching)
