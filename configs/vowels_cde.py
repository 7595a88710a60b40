"""vowels_odernn with a neural controlled differential equation."""

from vowels_odernn import grid, read_by

from odeembed.models.controlled import Controlled, Drive

experiments = read_by(Controlled(width=20, drive=Drive((28,)), config=grid))
