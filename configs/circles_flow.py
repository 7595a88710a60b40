"""moons_flow on two circles."""

from moons_flow import on

experiments = on("circles")
