"""powerplant_flow on UCI's red wines: 1,599 rows of twelve columns."""

from powerplant_flow import on

experiments = on("wine-quality-red.txt", 12)
