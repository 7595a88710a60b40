"""The grammar world: drawn sentences are judged right, others are no sentences, and each is one thing only."""

import itertools
import json
import random
from collections import Counter

import pytest

from odeembed import experiment as tree
from odeembed.data.grammar import (
    DEEPEST,
    LEXICON,
    PRODUCTIONS,
    RULES,
    TOPICS,
    GrammarWorld,
    Parse,
    parse,
    size,
)
from odeembed.data.text import TextData
from odeembed.errors import ConfigError
from odeembed.experiment import Experiment
from odeembed.models.interpolator import MaskedInterpolator
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.train.optimizer import Optimizer


def expanded(symbol: str, depth: int, known: dict) -> list[tuple[tuple[str, ...], int]]:
    """Every derivation of a phrase at most `depth` deep, as its word classes and its depth, by brute force."""
    if symbol not in RULES:
        return [((symbol,), 0)]
    if (symbol, depth) not in known:
        deeper = int(symbol[0] == "[")
        known[symbol, depth] = [
            (tuple(itertools.chain(*(classes for classes, _ in chosen))), deeper + max(d for _, d in chosen))
            for parts in RULES[symbol]
            if depth >= deeper
            for chosen in itertools.product(*(expanded(part, depth - deeper, known) for part in parts))
        ]
    return known[symbol, depth]


@pytest.fixture(scope="module")
def derivations():
    """The productions and depths of every sequence of word classes at most one clause deep, one for each derivation."""
    found, known = {}, {}
    for production in PRODUCTIONS:
        for classes, depth in expanded(production, 1, known):
            found.setdefault(classes, []).append((production, depth))
    return found


def spelt(classes, topic, rng):
    return [rng.choice(LEXICON[topic][name]) for name in (*classes, ".")]


@pytest.mark.parametrize("depth", range(DEEPEST + 1))
def test_a_drawn_sentence_parses_as_what_it_was_drawn_as(depth):
    drawn = list(GrammarWorld(1500, seed=4, depth=depth).drawn())
    assert [parse(sentence) for sentence, _ in drawn] == [drawn_as for _, drawn_as in drawn]
    parses = [drawn_as for _, drawn_as in drawn]
    flat = {"intransitive", "transitive", "predicative", "prepositional", "coordinated"}
    assert {drawn_as.production for drawn_as in parses} == (set(PRODUCTIONS) if depth else flat)
    assert {drawn_as.topic for drawn_as in parses} == set(TOPICS)
    assert {drawn_as.depth for drawn_as in parses} == set(range(depth + 1))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("the cook chews .", Parse("intransitive", "kitchen", 0)),
        ("every hungry baker stirs some greasy soups .", Parse("transitive", "kitchen", 0)),
        ("the boats are wet .", Parse("predicative", "sea", 0)),
        ("the sailors steer a raft near the net .", Parse("prepositional", "sea", 0)),
        ("the singers hum and the songs are loud .", Parse("coordinated", "music", 0)),
        ("the buyer that sells the coins is rich .", Parse("subject_relative", "market", 1)),
        ("the cook that the waiters feed stirs the soup .", Parse("object_relative", "kitchen", 1)),
        ("the hedge that the farmers prune is green .", Parse("object_relative", "garden", 1)),
        (
            "the cook that the waiter that the guests feed serves chews .",
            Parse("object_relative", "kitchen", 2),
        ),
        ("the cook that feeds the baker that stirs a pan chews .", Parse("subject_relative", "kitchen", 2)),
        ("the cooks that feed the bakers that stir a pan chew .", Parse("subject_relative", "kitchen", 2)),
        ("the cook thinks that the waiters know that the soup is warm .", Parse("complement", "kitchen", 2)),
    ],
)
def test_known_sentences(sentence, expected):
    assert parse(sentence) == parse(sentence.split()) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "the cooks chews .",
        "the cook chew .",
        "a cooks chew .",
        "many cook chews .",
        "the cook that the waiters feed stir the soup .",  # agrees with the nearer noun
        "the cook that the waiters feeds stirs the soup .",
        "the cooks that the waiter feeds stirs the soup .",
        "the cook that stir the soup chews .",
        "the cook that feeds the baker that stir a pan chews .",
        "the cook that feeds the bakers that stirs a pan chews .",
        "the cook that the waiters that the guests feed serves chews .",
        "the cook thinks that the waiters knows that the soup is warm .",
        "the cook stirs the boat .",  # two topics
        "the cook thinks that the sailor swims .",
        "the tidal cook chews .",  # no word of the world
        "the cook chews",
        "the cook .",
        "the cook that the waiters feed .",
        "the cook says that .",
        "cook the chews .",
        "the cook hungry chews .",
        "the soup chews .",
        "the cook stirs the waiter .",
        "the cook chews . .",
        ". the cook chews",
        "The cook chews .",
        "the cook chews.",
        "the cook says that the waiters chew and the soup is warm .",  # coordination stands alone
        "that the",
        ".",
        "",
    ],
)
def test_what_is_no_sentence_has_no_parse(sentence):
    assert parse(sentence) is None


def test_a_verb_in_the_other_number_leaves_no_sentence_wherever_it_stands():
    names = ("verb", "verb_thing", "verb_person", "verb_that", "be")
    pairs = [
        (words[f"{name}.{number}"], words[f"{name}.{other}"])
        for words in LEXICON.values()
        for name in names
        for number, other in (("sg", "pl"), ("pl", "sg"))
    ]
    other_number = {verb: other for verbs, others in pairs for verb, other in zip(verbs, others, strict=True)}
    changed = 0
    for sentence in GrammarWorld(600, seed=5, depth=DEEPEST).lines():
        words = sentence.split()
        for place, word in enumerate(words):
            if word in other_number:
                assert parse([*words[:place], other_number[word], *words[place + 1 :]]) is None
                changed += 1
    assert changed > 900


def test_too_deep_is_no_sentence_however_long():
    for depth in range(8):
        sentence = "the cook says that " * depth + "the waiter dines ."
        assert (parse(sentence) is not None) == (depth <= DEEPEST)
    assert parse("the cook says that " * 5000 + "the waiter dines .") is None


def test_every_sentence_has_one_derivation(derivations):
    assert len(derivations) > 25_000
    assert all(len(found) == 1 for found in derivations.values())


def test_every_word_is_one_thing():
    common = set.intersection(*({*itertools.chain(*words.values())} for words in LEXICON.values()))
    uses = Counter(word for words in LEXICON.values() for word in itertools.chain(*words.values()))
    assert all(count == (len(TOPICS) if word in common else 1) for word, count in uses.items())
    assert 120 <= len(uses) <= 200
    assert {"the", "every", "many", "that", "and", "is", "says", "near", "."} < common
    named = {
        name: {*words[name]} for words in LEXICON.values() for name in ("person.sg", "thing.sg", "adjective")
    }
    assert not any(
        word[0] in "aeiou" for words in named.values() for word in words
    )  # "a" goes with all of them


def test_the_parser_accepts_what_the_rules_make_and_nothing_else(derivations):
    """Against brute force, on sentences and on sentences with words changed, moved, lost and repeated."""
    rng = random.Random(0)
    names = [*LEXICON["sea"]]
    accepted = refused = 0
    for classes in rng.sample(sorted(derivations), 1200):
        place, other = sorted(rng.choices(range(len(classes) + 1), k=2))
        for changed in (
            classes,
            (*classes[:place], rng.choice(names), *classes[place + 1 :]),
            (*classes[:place], *classes[place + 1 :]),
            (*classes[:place], *classes[place:other], *classes[place:]),
            (*classes[:place], *classes[other:], *classes[place:other]),
            tuple(name.replace(".sg", ".pl") if i >= place else name for i, name in enumerate(classes)),
        ):
            found = parse(spelt(changed, "sea", rng))
            if changed in derivations:
                assert [(found.production, found.depth)] == derivations[changed]
                accepted += 1
            elif found is not None:
                assert found.depth > 1  # beyond what was enumerated
            else:
                refused += 1
    assert accepted > 1300 and refused > 2500


def test_size_counts_the_sentences(derivations):
    for depth in (0, 1):
        words = Counter(
            tuple(len(LEXICON["music"][name]) for name in classes)
            for classes, [(_, deep)] in derivations.items()
            if deep <= depth
        )
        per_topic = 0
        for lengths, number in words.items():
            for length in lengths:
                number *= length
            per_topic += number
        assert size(depth) == len(TOPICS) * per_topic
    assert size(DEEPEST) > size(2) > size(1) > 10**8


def test_the_same_seed_gives_the_same_distinct_sentences():
    first = list(GrammarWorld(800, seed=7).lines())
    assert first == list(GrammarWorld(800, seed=7).lines()) == list(GrammarWorld(900, seed=7).lines())[:800]
    assert len(set(first)) == 800
    assert len({*first} & {*GrammarWorld(800, seed=8).lines()}) < 200
    assert first[0] == next(GrammarWorld(1, seed=7).lines())


def test_sentences_are_drawn_alike_everywhere():
    """Renew it when the grammar, its words or the order of the draws change."""
    assert list(GrammarWorld(3).lines()) == [
        "some merchants that the vendor that some vendors cheat cheats sell every rich scale .",
        "some rich merchants are rich and some traders haggle .",
        "many greedy merchants bargain .",
    ]


def test_sentences_are_lower_case_words_and_a_full_stop_of_4_to_16_tokens():
    for sentence in GrammarWorld(3000).lines():
        words = sentence.split(" ")
        assert sentence == sentence.lower() and words[-1] == "." and all(map(str.isalpha, words[:-1]))
        assert 4 <= len(words) <= 16


def test_the_parts_never_share_a_sentence_and_make_up_the_whole():
    whole = [*GrammarWorld(2000, depth=0).lines()]
    train = {*GrammarWorld(2000, seed=1, depth=0, part="train").lines()}
    held_out = {*GrammarWorld(500, seed=2, depth=0, part="held_out").lines()}
    assert not train & held_out
    assert train & {*whole} and held_out & {*whole}
    # The draws of one seed are the same, so its parts are the sentences of all that belong to them.
    parts = [[*GrammarWorld(250, depth=0, part=part).lines()] for part in ("train", "held_out")]
    assert [line for line in whole if line in {*parts[0]}] == parts[0]
    kept = [line for line in whole if line in {*parts[1]}]
    assert kept == parts[1][: len(kept)]
    assert 160 <= len(kept) <= 240  # a tenth of 2000, within three standard deviations of 13.4


def test_the_stamp_changes_with_every_setting():
    worlds = [
        GrammarWorld(),
        GrammarWorld(10),
        GrammarWorld(seed=1),
        GrammarWorld(depth=1),
        GrammarWorld(part="train"),
    ]
    assert len({world.stamp() for world in worlds}) == len(worlds)
    assert GrammarWorld().stamp() == worlds[0].stamp()


def test_wrong_settings_are_named():
    with pytest.raises(ConfigError, match=r"gives at most \d+ sentences; got 10{12}"):
        next(GrammarWorld(10**12).lines())
    with pytest.raises(ConfigError, match=r"at most \d+ sentences; got 5000000000"):
        next(GrammarWorld(5 * 10**9, part="held_out").lines())
    with pytest.raises(ConfigError, match="sentences must be at least 1; got 0"):
        GrammarWorld(0)
    with pytest.raises(ConfigError, match=r"depth must lie in 0\.\.3; got 4"):
        GrammarWorld(depth=4)


def test_it_is_a_source_of_a_corpus(tmp_path):
    train, valid = GrammarWorld(1200, part="train"), GrammarWorld(60, seed=1, part="held_out")
    data = TextData(train=train, valid=valid, test=valid, buckets=(8, 16), batch_tokens=128)
    dataset = data.open(seed=0, cache_dir=tmp_path)
    assert [" ".join(words) for words in dataset.token_stream("train")] == [*train.lines()]
    assert [" ".join(words) for words in dataset.token_stream("valid")] == [*valid.lines()]
    assert dataset.counters["train"]["cut"] == dataset.counters["valid"]["unknown"] == 0
    assert dataset.vocabulary.size == 2 + 199  # every word of the world, <pad> and <unk>
    assert dataset.batch(0).values.shape in ((16, 8), (8, 16))


def test_it_stands_in_configs_json_and_on_the_command_line():
    data = TextData(
        train=GrammarWorld(20_000), valid=GrammarWorld(1000, seed=1), test=GrammarWorld(1000, seed=2)
    )
    first = tree.check(Experiment(data, MaskedInterpolator(), MaskedInterpolation(), Optimizer(), steps=1))
    assert tree.from_json(json.loads(json.dumps(tree.to_json(first)))) == first
    words = "--data.train.sentences 50 --data.train.part train --data.valid.depth 1 --data.test.seed 9"
    changed = tree.override(first, words.split()).data
    assert changed.train == GrammarWorld(50, part="train")
    assert changed.valid == GrammarWorld(1000, seed=1, depth=1) and changed.test == GrammarWorld(1000, seed=9)
    with pytest.raises(ConfigError, match="'all' or 'train' or 'held_out'; got 'half'"):
        tree.override(first, ["--data.train.part", "half"])
