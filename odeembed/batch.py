"""Batch: the one shape in which data reaches a model, be it text, an irregular series, images or points."""

from typing import Any, NamedTuple


class Batch(NamedTuple):
    """Arrays of `b` examples with up to `l` entries each; a pytree, filled with NumPy arrays by the data room.

    Attributes:
      values: what is seen. Text: int32 token ids [b, l]. Series: float32 [b, l, c]. Images: [b, h, w, c].
      times: float32 [b, l], when each entry is seen, in units of tokens for text; padded entries go on counting.
      mask: bool [b, l], true where an entry is real.
      index: int32 [b], the example's number in its split; -1 for a row that is padding throughout.
      groups: int32 [b, l] or None, the number of the whole word a piece belongs to; None when each entry is its own.
      target: what is to be predicted when `values` does not hold it: labels, or another Batch (a pair's other half).
    """

    values: Any
    times: Any
    mask: Any
    index: Any
    groups: Any = None
    target: Any = None
