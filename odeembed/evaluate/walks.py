"""Walks between sentences, measured: what a judge says of those on the way, and how straight the way is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from odeembed.codes import Way
from odeembed.data.grammar import parse
from odeembed.data.vocabulary import Vocabulary
from odeembed.evaluate.bleu import sentence_bleu
from odeembed.evaluate.held_out import held_out
from odeembed.evaluate.language_model import Judge
from odeembed.speak import Walk


@dataclass(frozen=True)
class Walks:
    """Sentences on the ways between pairs of test sentences, or of points drawn from the prior.

    Attributes:
      judge: run directory of a language model that was trained apart; "" leaves its perplexity out.
      pairs: number of ways.
      steps: sentences on each, both ends among them.
      ways: how they lead, as for `odeembed.codes.between`.
      prior: whether the ends are drawn from the prior, else they are test sentences.
      longest: test sentences with more tokens are no ends.
    """

    judge: str = ""
    pairs: int = 100
    steps: int = 7
    ways: tuple[Way, ...] = ("straight", "spherical", "hidden")
    prior: bool = False
    longest: int = 20

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns walks/<way>/..., or prior_walks/<way>/..., for each of the ways; see `measured`.

        Args:
          run: of a `SentenceVAE` with a latent.
        """
        coder = run.coder
        judge = Judge.of(run.beside(self.judge), run.vocabulary) if self.judge else None
        if self.prior:
            first, last = np.split(coder.prior(2 * self.pairs, run.experiment.seed), 2)
        else:
            first, last = (coder.encode(ends)[0] for ends in pairs(run, self.pairs, self.longest))
        name = "prior_walks" if self.prior else "walks"
        return {
            f"{name}/{way}/{key}": value
            for way in self.ways
            for key, value in measured(coder.walk(first, last, self.steps, way), judge).items()
        }


def pairs(run: Any, count: int, longest: int) -> tuple[list[list[int]], list[list[int]]]:
    """Pairs of different test sentences, drawn with the run's seed."""
    sentences = [ids for ids in held_out(run.dataset) if len(ids) <= longest]
    rng = np.random.default_rng(run.experiment.seed)
    chosen = rng.permutation(len(sentences))[: 2 * count]
    half = len(chosen) // 2
    return [sentences[i] for i in chosen[:half]], [sentences[i] for i in chosen[half : 2 * half]]


def measured(walks: list[Walk], judge: Judge | None) -> dict[str, float]:
    """What can be said of walks without knowing what their sentences mean.

    Returns:
      perplexity: of the sentences between, under the judge; distinct: different sentences of a walk; repeats: share of
      steps that change nothing; approach: share of steps by which the edit distance to the last sentence does not
      grow; bleu_approach: by which BLEU against it does not fall; departure and bleu_departure: by which those to the
      first do not shrink, and do not rise; detour: the words changed on the way, over those in which the ends differ.
    """
    inner = [ids for walk in walks for ids in walk.sentences[1:-1]]
    steps = [pair for walk in walks for pair in pairwise(walk.sentences)]
    monotone = {name: [] for name in ("approach", "departure", "bleu_approach", "bleu_departure")}
    changed, apart = 0, 0
    for walk in walks:
        for name, end, sign in (("approach", -1, 1), ("departure", 0, -1)):
            far = [edit_distance(ids, walk.sentences[end]) for ids in walk.sentences]
            alike = [sentence_bleu(ids, walk.sentences[end]) for ids in walk.sentences]
            monotone[name] += [sign * (after - before) <= 0 for before, after in pairwise(far)]
            monotone[f"bleu_{name}"] += [sign * (after - before) >= 0 for before, after in pairwise(alike)]
        changed += sum(edit_distance(a, b) for a, b in pairwise(walk.sentences))
        apart += edit_distance(walk.sentences[0], walk.sentences[-1])
    found = {
        "distinct": float(np.mean([len({tuple(ids) for ids in walk.sentences}) for walk in walks])),
        "repeats": float(np.mean([a == b for a, b in steps])),
        **{name: float(np.mean(steps)) for name, steps in monotone.items()},
        "detour": changed / max(apart, 1),
    }
    return found if judge is None else {"perplexity": judge.perplexity(inner), **found}


def edit_distance(first: Sequence[Any], second: Sequence[Any]) -> int:
    """The fewest insertions, deletions and replacements of words that lead from one sentence to the other.

    References:
      Wagner and Fischer 1974, The String-to-String Correction Problem, algorithm X.
    """
    row = list(range(len(second) + 1))
    for i, word in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


@dataclass(frozen=True)
class GrammarWalks:
    """Walks in the grammar world, judged by its parser.

    Only pairs count whose two ends are reconstructed and that have at least three different sentences between them: a
    decoder that always says the same would parse.

    Attributes:
      pairs: number of ways.
      steps: sentences on each, both ends among them.
      ways: how they lead, as for `odeembed.codes.between`.
    """

    pairs: int = 300
    steps: int = 9
    ways: tuple[Way, ...] = ("straight", "spherical", "hidden")

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns grammar/<way>/parse, the share of sentences between that parse, and .../counted, that of pairs.

        Of steps between two sentences that parse, .../production and .../topic are the shares that keep them.

        Args:
          run: of a `SentenceVAE` with a latent, trained on a `GrammarWorld`.
        """
        coder, found = run.coder, {}
        ends = pairs(run, self.pairs, coder.longest)
        first, last = (coder.encode(some)[0] for some in ends)
        for way in self.ways:
            walks = coder.walk(first, last, self.steps, way)
            counted = [walk for walk, *pair in zip(walks, *ends, strict=True) if counts(walk, *pair)]
            found |= {
                f"grammar/{way}/{key}": value for key, value in parsed(counted, coder.vocabulary).items()
            }
            found[f"grammar/{way}/counted"] = len(counted) / len(walks)
        return found


def counts(walk: Walk, first: list[int], last: list[int]) -> bool:
    """Whether both ends are reconstructed and at least three different sentences lie between them."""
    between = {tuple(ids) for ids in walk.sentences[1:-1]} - {tuple(first), tuple(last)}
    return walk.sentences[0] == first and walk.sentences[-1] == last and len(between) >= 3


def parsed(walks: list[Walk], vocabulary: Vocabulary) -> dict[str, float]:
    """The share of the sentences between that parse, and of steps that keep production class and topic."""
    inner, production, topic = [], [], []
    for walk in walks:
        parses = [parse(vocabulary.decode(ids)) for ids in walk.sentences]
        inner += [one is not None for one in parses[1:-1]]
        for one, other in pairwise(parses):
            if one is not None and other is not None:
                production.append(one.production == other.production)
                topic.append(one.topic == other.topic)
    shares = {"parse": inner, "production": production, "topic": topic}
    return {name: float(np.mean(values)) if values else float("nan") for name, values in shares.items()}
