"""Mean(total, count): the only way numbers are averaged, across sentences, devices, micro-batches and batches."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Mean(NamedTuple):
    """A mean that is not divided yet.

    Attributes:
      total: sum of the values that count, a scalar.
      count: how many values count, a scalar; 0 when none did.
    """

    total: Any
    count: Any

    @property
    def value(self) -> float:
        """total / count on the host; NaN when nothing was counted."""
        count = float(self.count)
        return float(self.total) / count if count else math.nan


def merge(first: Mapping[str, Mean], second: Mapping[str, Mean]) -> dict[str, Mean]:
    """Adds two sets of means key by key; a key that one side lacks is taken from the other."""
    merged = dict(first)
    for key, mean in second.items():
        known = merged.get(key)
        merged[key] = mean if known is None else Mean(known.total + mean.total, known.count + mean.count)
    return merged


def merge_all(parts: Iterable[Mapping[str, Mean]]) -> dict[str, Mean]:
    """Adds any number of sets of means, as `merge` adds two."""
    merged: dict[str, Mean] = {}
    for part in parts:
        merged = merge(merged, part)
    return merged


def summarise(means: Mapping[str, Mean]) -> dict[str, float]:
    """Divides each mean once, on the host, and puts a `perplexity` = exp(nll) beside every `nll` in nats a token."""
    values: dict[str, float] = {}
    for key, mean in means.items():
        values[key] = mean.value
        if key == "nll" or key.startswith("nll/"):
            values["perplexity" + key[3:]] = math.exp(min(values[key], 700.0))  # exp(710) overflows a double
    return values
