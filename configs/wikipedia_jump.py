"""Masked interpolation and word vectors on a part of Wikipedia, by GRU-ODE flows with jumps.

Words as word2vec is usually given them: lower-cased runs of letters, at least five occurrences, others left out.
"""

from dataclasses import replace

from wikitext2_jump import experiments as wikitext2

from odeembed.data.sources import TextFiles
from odeembed.data.vocabulary import Words
from odeembed.evaluate.analogies import Analogies
from odeembed.evaluate.word_similarity import WordSimilarity

words = Words(pattern=r"[a-z]+(?:'[a-z]+)?", lowercase=True, min_count=5, oov="drop")
corpus = TextFiles(("wikipedia/enwiki_part.txt.xz",), skip=r"^<<<")


def on_wikipedia(experiment, steps: int):
    """The same experiment on other text, with the vectors scored too."""
    data = replace(
        experiment.data,
        train=corpus,
        valid=None,
        test=None,
        held_out=0.01,
        vocabulary=words,
        evaluation_tokens=100_000,
    )
    scores = (WordSimilarity(tokens=300_000), Analogies())
    return replace(experiment, data=data, steps=steps, evaluate_every=steps // 2, scores=scores)


experiments = {
    "small": on_wikipedia(wikitext2["small"], steps=4800),  # once through the text
    "full": on_wikipedia(wikitext2["full"], steps=20000),
}
