"""powerplant_planar on UCI's red wines: 1,599 rows of twelve columns."""

from powerplant_flow import on
from powerplant_planar import experiments as planar

experiments = on("wine-quality-red.txt", 12, planar)
