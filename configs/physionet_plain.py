"""physionet_odernn without what was last seen: values between 0 and 1, and 0 where a channel was not seen."""

from dataclasses import replace

from physionet_odernn import experiments as odernn

from odeembed.experiment import Experiment
from odeembed.models.series import Recurrent


def plainly(one: Experiment) -> Experiment:
    """The same experiment, told so."""
    reader: Recurrent = one.model.reader
    return replace(
        one,
        data=replace(one.data, scaling="range"),
        model=one.model.clone(reader=reader.clone(decay=False)),
    )


experiments = {size: plainly(one) for size, one in odernn.items()}
