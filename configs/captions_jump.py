"""repeat_jump on the English side of Multi30k: captions of at most 24 pieces, through one state of fixed size."""

from dataclasses import replace
from typing import cast

from repeat_jump import experiments as repeat

from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.data.vocabulary import SentencePiece


def captions(name: str) -> TextFiles:
    """A part of the corpus."""
    return TextFiles((f"multi30k/{name}.en.gz",))


data = TextData(
    train=captions("train"),
    valid=captions("val"),
    test=captions("test_2016_flickr"),
    vocabulary=SentencePiece(size=4000),
    buckets=(12, 16, 24),
    batch_tokens=1024,
    min_length=1,
    longer="leave",
)
experiments = {
    size: replace(one, data=replace(data, batch_tokens=cast(TextData, one.data).batch_tokens))
    for size, one in repeat.items()
}
