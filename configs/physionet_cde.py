"""physionet_odernn with a neural controlled differential equation."""

from physionet_odernn import read_by
from vowels_odernn import grid

from odeembed.models.controlled import Controlled, Drive

experiments = read_by(
    Controlled(width=16, drive=Drive((16,)), config=grid),
    Controlled(width=32, drive=Drive((46,)), config=grid),
)
