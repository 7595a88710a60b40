"""powerplant_planar on UCI's protein structures: 45,730 rows of ten columns."""

from powerplant_flow import on
from powerplant_planar import experiments as planar

experiments = on("protein-tertiary-structure.txt", 10, planar)
