"""Figures of walks by hand, and what counts as one."""

import math

import pytest

from odeembed.data.grammar import GrammarWorld
from odeembed.data.vocabulary import Words
from odeembed.evaluate.walks import Walks, counts, edit_distance, measured, parsed
from odeembed.speak import Walk


def test_edit_distances():
    assert [
        edit_distance(list(a), list(b)) for a, b in (("kitten", "sitting"), ("", "ab"), ("ab", "ab"))
    ] == [3, 2, 0]


def test_a_walk_s_figures_by_hand():
    straight = [[2, 3], [2, 4], [5, 4]]
    assert figures(straight) == {"distinct": 3, "repeats": 0, "detour": 1} | alike(1)
    assert figures([[2, 3], [2, 3], [2, 3]]) == {"distinct": 1, "repeats": 1, "detour": 0} | alike(1)
    away = [[2, 3], [6, 7, 8], [2, 4]]
    assert figures(away) == {"distinct": 3, "repeats": 0, "detour": 6} | alike(0.5)
    # The third sentence has three words too many.
    between = [[2, 3, 4, 5], [2, 3, 4, 5, 6, 7], [9, 9, 9, 2, 3, 4, 5, 6, 7], [2, 3, 4, 5, 6, 7]]
    found = figures(between)
    assert (found["approach"], found["bleu_approach"]) == (pytest.approx(2 / 3),) * 2
    assert (found["departure"], found["bleu_departure"]) == (pytest.approx(2 / 3),) * 2


def figures(sentences):
    return measured([Walk([], sentences)], None)


def alike(share):
    return dict.fromkeys(("approach", "departure", "bleu_approach", "bleu_departure"), share)


def test_walks_of_a_run_and_between_points_of_the_prior(coded):
    found = Walks(pairs=2, steps=3, ways=("straight",))(coded)
    assert set(found) == {f"walks/straight/{name}" for name in ("distinct", "repeats", "detour", *alike(1))}
    assert "walks/hidden/perplexity" in Walks("judge", pairs=2, steps=3, ways=("hidden",))(coded)
    assert "prior_walks/hidden/distinct" in Walks(pairs=2, steps=3, ways=("hidden",), prior=True)(coded)


def test_pairs_count_only_with_both_ends_and_three_sentences_between():
    ends = [2], [9]
    walk = lambda *inner: Walk([], [[2], *inner, [9]])  # noqa: E731
    assert counts(walk([3], [4], [5]), *ends)
    assert not counts(walk([3], [4], [4], [2], [9]), *ends)
    assert not counts(walk([3], [4], [5]), [2], [8])


def test_grammar_walks_count_what_parses():
    lines = list(GrammarWorld(6, seed=0).lines())
    words = Words().build(lines)
    good = [words.encode(line) for line in lines]
    bad = [id for ids in good[:2] for id in ids]
    found = parsed([Walk([], [good[0], good[1], bad, good[2]])], words)
    assert found["parse"] == 0.5
    assert 0 <= found["production"] <= 1 and 0 <= found["topic"] <= 1
    assert all(math.isnan(value) for value in parsed([], words).values())
