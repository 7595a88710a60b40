"""power_flow on MINIBOONE: 43 columns."""

from power_flow import published

experiments = published("miniboone", 43, (860, 860), 1_000)
