"""power_flow on GAS: 8 columns."""

from power_flow import published

experiments = published("gas", 8, (160, 160, 160), 1_000)
