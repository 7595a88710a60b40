"""moons_flow on a checkerboard."""

from moons_flow import on

experiments = on("checkerboard")
