"""moons_fine on a pinwheel."""

from moons_fine import experiments as fine
from moons_flow import on

experiments = on("pinwheel", fine)
