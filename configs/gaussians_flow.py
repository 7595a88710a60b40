"""moons_flow on eight Gaussians."""

from moons_flow import on

experiments = on("8gaussians")
