"""physionet_odernn with a neural controlled differential equation, whose path goes through what was seen.

Values lie between 0 and 1 here: a path that is driven by rare values of many standard deviations goes far astray.
"""

from dataclasses import replace

from physionet_odernn import read_by
from vowels_odernn import grid

from odeembed.models.controlled import Controlled, Drive

experiments = {
    size: replace(one, data=replace(one.data, scaling="range"))
    for size, one in read_by(
        Controlled(width=18, drive=Drive((18,)), config=grid),
        Controlled(width=34, drive=Drive((50,)), config=grid),
    ).items()
}
