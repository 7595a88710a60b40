"""The discrete twin of scanaddprim_jump: a GRU decoder with as many parameters."""

from scan_gru import experiments as simple
from scanaddprim_jump import add_primitive

experiments = {size: add_primitive(one) for size, one in simple.items()}
