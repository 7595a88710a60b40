"""BLEU, by sacrebleu, of sentences that are tokens already."""

import functools
from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics import BLEU


def sentence_bleu(said: Sequence[Any], wanted: Sequence[Any]) -> float:
    """BLEU of one sentence against another, from 0 to 100, by as many n-grams as there are, smoothed exponentially.

    Two empty sentences have 100, an empty and another one 0.

    References:
      Papineni et al. 2002, BLEU; Chen and Cherry 2014, A Systematic Comparison of Smoothing Techniques, method 3.
    """
    if not said or not wanted:
        return 100.0 * (len(said) == len(wanted))
    return _sentences().sentence_score(_text(said), [_text(wanted)]).score


@functools.cache
def _sentences() -> BLEU:
    return BLEU(tokenize="none", effective_order=True)


def _text(tokens: Sequence[Any]) -> str:
    return " ".join(map(str, tokens))
