"""moons_flow on two spirals."""

from moons_flow import on

experiments = on("spirals")
