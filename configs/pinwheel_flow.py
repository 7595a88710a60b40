"""moons_flow on a pinwheel."""

from moons_flow import on

experiments = on("pinwheel")
