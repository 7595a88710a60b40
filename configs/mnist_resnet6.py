"""A residual network of six blocks on MNIST; the other mnist_*.py take everything from here but the model.

    odeembed train configs/mnist_resnet6.py --size small    # one CPU core, minutes
    odeembed train configs/mnist_resnet6.py --size full     # one accelerator
    odeembed plot runs/mnist_odenet-small-seed0             # training, and error and time over tolerance

The stock dataset `mnist` of TensorFlow Datasets: of $ODEEMBED_DATA/tfds, or TFDS's own. 55,000 images are trained on,
5,000 chosen by, 10,000 tested on. All models share stem, head, steps and optimizer, so that a row of the table differs
from the next by its body alone.
"""

from dataclasses import replace

from odeembed.data.images import ImageData
from odeembed.evaluate.classified import LabelScores
from odeembed.experiment import Experiment
from odeembed.models.image_classifier import ImageClassifier, ODEBlock, ResidualBlocks
from odeembed.objectives.classification import Classification
from odeembed.train.optimizer import Optimizer

small = Experiment(
    data=ImageData(rows=64, crop=1),
    model=ImageClassifier(body=ResidualBlocks(6)),
    objective=Classification(smoothing=0.05),
    optimizer=Optimizer(peak=8e-3, warmup=100, weight_decay=0.02),
    steps=2800,
    ema=0.99,
    evaluate_every=700,
    checkpoint_every=700,
    monitor="error",
    scores=(LabelScores(),),
)
EPOCHS = 25
full = replace(
    small,
    data=ImageData(rows=512, crop=2),
    optimizer=replace(small.optimizer, warmup=107, weight_decay=0.05),
    steps=EPOCHS * 107,
    ema=0.995,
    evaluate_every=EPOCHS * 107 // 4,
    checkpoint_every=EPOCHS * 107 // 4,
)
experiments = {"small": small, "full": full}


def through(
    body: ResidualBlocks | ODEBlock, like: dict[str, Experiment] = experiments
) -> dict[str, Experiment]:
    """The same experiments with another body."""
    return {size: replace(one, model=one.model.clone(body=body)) for size, one in like.items()}
