"""power_flow on HEPMASS: 21 columns."""

from power_flow import published

experiments = published("hepmass", 21, (210, 210), 10_000)
