"""ptb_jump on short Yelp sentences: at most 15 words each.

    odeembed train configs/yelp_lm.py --size small      # first: the language model that judges samples and walks
    odeembed train configs/yelp_jump.py --size small    # two CPU cores, minutes

The other yelp_*.py take everything from here but the model or the objective. The corpus is not part of this project:
put sentiment.{dev,test}.{0,1}.gz into $ODEEMBED_DATA/yelp_sentences. Its training part is not used: the splits are made
of these four files.
"""

from dataclasses import replace

from ptb_jump import experiments as ptb

from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.data.vocabulary import Words
from odeembed.evaluate.language_model import Samples
from odeembed.evaluate.sentence_codes import Codes, ImportanceWeighted
from odeembed.evaluate.walks import Walks
from odeembed.objectives.sentence_vae import Annealing

files = [f"yelp_sentences/sentiment.{part}.{label}.gz" for part in ("dev", "test") for label in (0, 1)]
data = TextData(
    train=TextFiles(tuple(files)),
    held_out=0.015,  # for each of valid and test
    vocabulary=Words(max_size=10_000),
    buckets=(8, 12, 16),
    batch_tokens=1024,
    min_length=1,
)


def scores(size: str) -> tuple:
    """IW-50 on every other batch at small size, IW-500 on all at full size; the judge is of the same size."""
    judge = f"runs/yelp_lm-{size}-seed0"
    weighted = ImportanceWeighted(50, every=2) if size == "small" else ImportanceWeighted(500)
    return (weighted, Codes(), Samples(judge), Walks(judge), Walks(judge, prior=True))


experiments = {
    "small": replace(
        ptb["small"],
        data=data,
        objective=replace(ptb["small"].objective, annealing=Annealing(rise=1000)),
        steps=2500,
        evaluate_every=1250,
        scores=scores("small"),
    ),
    "full": replace(ptb["full"], data=data, scores=scores("full")),
}
