"""powerplant_flow on UCI's protein structures: 45,730 rows of ten columns."""

from powerplant_flow import on

experiments = on("protein-tertiary-structure.txt", 10)
