"""scan_jump on the add-primitive split: "jump" is trained on alone, and tested in every construction."""

from dataclasses import replace

from scan_jump import experiments as simple

from odeembed.data.sources import Scan
from odeembed.experiment import Experiment


def add_primitive(one: Experiment) -> Experiment:
    """The same on that split."""
    train, test = (Scan((f"scan/tasks_{part}_addprim_jump.txt.gz",)) for part in ("train", "test"))
    return replace(one, data=replace(one.data, train=train, test=test))


experiments = {size: add_primitive(one) for size, one in simple.items()}
