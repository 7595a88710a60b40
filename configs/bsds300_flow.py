"""power_flow on BSDS300: 63 columns."""

from power_flow import published

experiments = published("bsds300", 63, (1260, 1260, 1260), 10_000)
