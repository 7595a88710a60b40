"""BLEU, by sacrebleu."""

import functools
from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.bleu import BLEU


def sentence_bleu(said: Sequence[Any], wanted: Sequence[Any]) -> float:
    """BLEU of one sentence of tokens against another, from 0 to 100, by as many n-grams as there are.

    Counts of 0 are smoothed exponentially. Two empty sentences have 100, an empty and another one 0.

    References:
      Papineni et al. 2002, BLEU; Chen and Cherry 2014, A Systematic Comparison of Smoothing Techniques, method 3.
    """
    if not said or not wanted:
        return 100.0 * (len(said) == len(wanted))
    return _sentences().sentence_score(_text(said), [_text(wanted)]).score


def corpus_bleu(said: Sequence[str], wanted: Sequence[str]) -> tuple[float, str]:
    """BLEU of texts against one reference each, from 0 to 100, and its signature.

    References:
      Papineni et al. 2002, BLEU; Post 2018, A Call for Clarity in Reporting BLEU Scores, for the signature.
    """
    metric = BLEU()
    score = metric.corpus_score(list(said), [list(wanted)]).score
    return score, str(metric.get_signature())


@functools.cache
def _sentences() -> BLEU:
    return BLEU(tokenize="none", effective_order=True)


def _text(tokens: Sequence[Any]) -> str:
    return " ".join(map(str, tokens))
