"""Who dies in hospital, of 4,000 stays in intensive care: an ODE-RNN on PhysioNet 2012, set A, five folds.

    for fold in 0 1 2 3 4; do odeembed train configs/physionet_odernn.py --size small --seed $fold; done

The seed is the fold that is tested on. Times are in units of 48 hours, values have mean 0 and standard deviation 1 by
the training split. A state after days of which most channels are seen a few times only does not remember what was seen
long ago, so a channel that is not seen is given as what was last seen of it, decaying, as the GRU-D has it. The other
physionet_*.py take data, inputs and steps from here: an RNN that is told the distances between its times, a relative of
the GRU-D and a neural CDE, of as many parameters; physionet_latent.py interpolates. The corpus is not part of this
project: put set-a.csv.xz and Outcomes-a.txt into $ODEEMBED_DATA/physionet2012.
"""

from dataclasses import replace

from vowels_odernn import flow
from vowels_odernn import small as vowels

from odeembed.data.recordings import PhysioNet2012
from odeembed.data.series import SeriesData
from odeembed.evaluate.classified import LabelScores
from odeembed.experiment import Experiment
from odeembed.fields.mlp import MLPField
from odeembed.models.controlled import Controlled
from odeembed.models.series import Recurrent

small = replace(
    vowels,
    data=SeriesData(
        PhysioNet2012(),
        folds=5,
        buckets=(64, 96, 128, 224),
        batch_times=64 * 64,
        scaling="standard",
        time_unit=48.0,
    ),
    model=vowels.model.clone(reader=Recurrent(flow, decay=True), channels=41, classes=2),
    steps=600,
    evaluate_every=100,
    checkpoint_every=100,
    scores=(LabelScores(steps=(1, 2), rtols=()),),
)
wide = flow.clone(hidden=128, field=MLPField((128, 128)))
full = replace(small, model=small.model.clone(reader=Recurrent(wide, decay=True)), steps=2000)
experiments = {"small": small, "full": full}


def read_by(
    small: Recurrent | Controlled, full: Recurrent | Controlled, like: dict[str, Experiment] = experiments
) -> dict[str, Experiment]:
    """The same experiments with another reader at each size."""
    return {
        size: replace(like[size], model=like[size].model.clone(reader=reader))
        for size, reader in (("small", small), ("full", full))
    }
