"""A small world of English-like sentences: one context-free grammar that both draws them and judges them exactly."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from odeembed.errors import ConfigError

DEEPEST = 3  # clauses inside clauses that `parse` follows
_HELD_OUT = 0.1
_MOST = 0.5  # of a part's sentences; drawing distinct ones takes ever longer towards all of them

# First the productions, each a whole sentence but for its full stop; then phrases, with capitals; other names are
# classes of words. A phrase in brackets is a clause inside another, one deeper; a gap lacks its subject or its object.
# A rule with # stands for two, one with every # singular (sg) and one with every # plural (pl).
_RULES = """
intransitive: Person.# verb.#
transitive: Person.# verb_thing.# AnyThing | Person.# verb_person.# AnyPerson
predicative: Person.# be.# adjective | Thing.# be.# adjective
prepositional: Person.# verb.# preposition AnyThing | Person.# verb_thing.# AnyThing preposition AnyThing
coordinated: Flat and Flat
subject_relative: Agent.# that [SubjectGap.#] Predicate.#
object_relative: Agent.# that [PersonGap] Predicate.# | Article.# thing.# that [ThingGap] be.# adjective
complement: Agent.# verb_that.# that [Clause]

Flat: intransitive | transitive | predicative
[Clause]: Flat | subject_relative | object_relative | complement
[SubjectGap.#]: verb.# | verb_thing.# BareThing | verb_person.# Inner
[PersonGap]: Inner.# verb_person.#
[ThingGap]: Inner.# verb_thing.#
Predicate.#: verb.# | verb_thing.# AnyThing | verb_person.# AnyPerson | be.# adjective

Inner: Inner.#
Inner.#: Agent.# | Related.#
Related.#: Agent.# that [SubjectGap.#] | Agent.# that [PersonGap]
AnyPerson: Person.#
AnyThing: Thing.#
BareThing: Article.# thing.#
Person.#: Agent.# | Article.# adjective person.#
Thing.#: Article.# thing.# | Article.# adjective thing.#
Agent.#: Article.# person.#
Article.#: the | quantifier.#
"""

_FUNCTION_WORDS = {
    "the": "the",
    "that": "that",
    "and": "and",
    "quantifier.sg": "a every",
    "quantifier.pl": "some many",
    "be.sg": "is",
    "be.pl": "are",
    "preposition": "near behind beside",
    ".": ".",
    "verb_that.sg": "says thinks knows",
    "verb_that.pl": "say think know",
}

# Nouns in the singular and verbs in the plural; the other number adds an s.
_CONTENT_WORDS = {
    "kitchen": {
        "person": "cook waiter baker guest",
        "thing": "soup pan plate kettle",
        "verb": "dine chew nibble",
        "verb_thing": "stir boil taste",
        "verb_person": "feed serve",
        "adjective": "hungry tasty warm greasy",
    },
    "sea": {
        "person": "sailor captain diver pirate",
        "thing": "boat mast net raft",
        "verb": "swim drown float",
        "verb_thing": "steer moor haul",
        "verb_person": "rescue hail",
        "adjective": "salty wet stormy drifting",
    },
    "music": {
        "person": "singer drummer pianist fiddler",
        "thing": "song drum violin trumpet",
        "verb": "hum whistle rehearse",
        "verb_thing": "play tune record",
        "verb_person": "conduct applaud",
        "adjective": "loud melodic noisy famous",
    },
    "garden": {
        "person": "gardener florist farmer beekeeper",
        "thing": "rose tree hedge tulip",
        "verb": "dig kneel weed",
        "verb_thing": "plant water prune",
        "verb_person": "visit thank",
        "adjective": "green muddy leafy sunny",
    },
    "market": {
        "person": "trader buyer vendor merchant",
        "thing": "coin basket stall scale",
        "verb": "haggle bargain shout",
        "verb_thing": "sell weigh count",
        "verb_person": "pay cheat",
        "adjective": "cheap rich greedy pricey",
    },
}

Part = Literal["all", "train", "held_out"]


class Parse(NamedTuple):
    """What a sentence is.

    Attributes:
      production: the one of `PRODUCTIONS` that makes the whole sentence.
      topic: the one of `TOPICS` that all its nouns, adjectives and verbs, but verbs of saying, belong to.
      depth: how many clauses lie inside one another: 0 for "the cook chews .", 1 for "the cook that chews is hungry .".
    """

    production: str
    topic: str
    depth: int


@dataclass(frozen=True)
class GrammarWorld:
    """Sentences drawn from a built-in grammar, each different from the others: lower case, " ." at the end.

    Singular and plural agree, also across relative clauses, and a sentence keeps to one of five topics. The topic, then
    the production, then every rule and every word are drawn evenly from those that the depth allows; a sentence that
    was drawn before is drawn anew, so that productions with few sentences become rarer in a large sample. Sentences
    have 4 to 16 tokens, the full stop among them, and up to 20 at depth 3.

    Worlds of different seeds may share sentences. Worlds of the parts "train" and "held_out" never do, whatever their
    seeds.

    Attributes:
      sentences: how many.
      seed: of the draw. The same seed gives the same sentences with every version of Python.
      depth: how many clauses may lie inside one another, 0 to 3.
      part: "held_out" keeps the tenth of all sentences that a hash of their text chooses, "train" the others.
    """

    sentences: int = 20_000
    seed: int = 0
    depth: int = 2
    part: Part = "all"

    def __post_init__(self):
        if self.sentences < 1:
            raise ConfigError(f"GrammarWorld.sentences must be at least 1; got {self.sentences}. Use 20000.")
        if not 0 <= self.depth <= DEEPEST:
            raise ConfigError(f"GrammarWorld.depth must lie in 0..{DEEPEST}; got {self.depth}. Use 2.")
        if self.part not in _SHARES:
            raise ConfigError(
                f"GrammarWorld.part must be one of {', '.join(_SHARES)}; got {self.part!r}. Use train."
            )

    def lines(self) -> Iterator[str]:
        """Yields the sentences.

        Raises:
          ConfigError: more sentences are asked for than half of those there are.
        """
        for sentence, _ in self.drawn():
            yield sentence

    def drawn(self) -> Iterator[tuple[str, Parse]]:
        """Yields the sentences with the production, topic and depth they were drawn with.

        Raises:
          ConfigError: more sentences are asked for than half of those there are.
        """
        most = int(_MOST * _SHARES[self.part] * size(self.depth))
        if self.sentences > most:
            raise ConfigError(
                f"a GrammarWorld of depth {self.depth} and part {self.part!r} gives at most {most} sentences; "
                f"got {self.sentences}. Ask for fewer, or raise the depth."
            )
        rng, seen = Random(self.seed), set()
        while len(seen) < self.sentences:
            topic = _even(TOPICS, rng)
            production = _even([name for name in PRODUCTIONS if _size(name, self.depth, topic)], rng)
            sentence, depth = _drawn(production, self.depth, topic, rng)
            if sentence not in seen and (self.part == "all" or self.part == _part(sentence)):
                seen.add(sentence)
                yield sentence, Parse(production, topic, depth)

    def stamp(self) -> str:
        """Changes with the settings and with the code and the words of the grammar."""
        facts = repr(astuple(self)) + Path(__file__).read_text("utf-8")
        return hashlib.sha256(facts.encode()).hexdigest()


def parse(sentence: str | Sequence[str]) -> Parse | None:
    """What a sentence is, if the grammar makes it at a depth of at most `DEEPEST`; otherwise None.

    Exact: the rules are those that sentences are drawn with, and no sentence has two parses. Agreement and case count:
    "the cooks chews ." and "The cook chews ." are no sentences.

    Args:
      sentence: words with white space between them, or a sequence of words; the last one is the full stop.
    """
    words = sentence.split() if isinstance(sentence, str) else sentence
    entries = [_ENTRIES[word] for word in words if word in _ENTRIES]
    topics = {topic for _, topic in entries if topic}
    if len(entries) < len(words) or len(topics) != 1:
        return None
    states = _START
    for name, _ in entries:
        states = _after(states, name)
    for state in states:
        if not state.ahead:
            return Parse(state.production, topics.pop(), state.depth)
    return None


def size(depth: int) -> int:
    """How many sentences of at most that depth there are."""
    return sum(_size(production, depth, topic) for production in PRODUCTIONS for topic in TOPICS)


def _grammar(text: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    """For every phrase its expansions, each a sequence of phrases and word classes."""
    rules: dict[str, list[tuple[str, ...]]] = {}
    for line in filter(None, text.splitlines()):
        phrase, _, expansions = line.partition(": ")
        for expansion in expansions.split(" | "):
            for number in ("sg", "pl") if "#" in phrase + expansion else ("",):
                symbols = tuple(expansion.replace("#", number).split())
                rules.setdefault(phrase.replace("#", number), []).append(symbols)
    return {phrase: tuple(expansions) for phrase, expansions in rules.items()}


def _lexicon(content: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """The words of every class in one topic, function words included."""
    words = {name: tuple(text.split()) for name, text in _FUNCTION_WORDS.items()}
    for name, text in content.items():
        plain, with_s = tuple(text.split()), tuple(word + "s" for word in text.split())
        if name == "adjective":
            words[name] = plain
        else:
            singular, plural = (with_s, plain) if name.startswith("verb") else (plain, with_s)
            words |= {f"{name}.sg": singular, f"{name}.pl": plural}
    return words


RULES = _grammar(_RULES)  # phrase -> expansions; what is no phrase is a word class
PRODUCTIONS = tuple(name for name in RULES if name[0].islower())  # a sentence is one of these and a full stop
TOPICS = tuple(_CONTENT_WORDS)
# For each topic the words of every class, function words included.
LEXICON = {topic: _lexicon(content) for topic, content in _CONTENT_WORDS.items()}
_SHARES = {"all": 1.0, "train": 1.0 - _HELD_OUT, "held_out": _HELD_OUT}
_ENTRIES = {  # for each word its class, and its topic if it has one
    word: (name, "" if name in _FUNCTION_WORDS else topic)
    for topic, classes in LEXICON.items()
    for name, words in classes.items()
    for word in words
}


def _even(options: Sequence[Any], rng: Random) -> Any:
    return options[int(rng.random() * len(options))]  # `choice` may change with the version of Python


def _part(sentence: str) -> Part:
    digest = hashlib.blake2b(sentence.encode(), digest_size=8).digest()
    return "held_out" if int.from_bytes(digest) < _HELD_OUT * 2.0**64 else "train"


@cache
def _size(symbol: str, depth: int, topic: str) -> int:
    """How many sequences of words a phrase or a word class can be, at most `depth` deep."""
    if symbol not in RULES:
        return len(LEXICON[topic][symbol])
    return sum(
        math.prod(_size(part, depth - symbol.startswith("["), topic) for part in parts)
        for parts in RULES[symbol]
        if depth >= symbol.startswith("[")
    )


@cache
def _completable(symbol: str, depth: int, topic: str) -> tuple[tuple[str, ...], ...]:
    """The expansions of a phrase of which each part can be at most `depth` deep."""
    return tuple(parts for parts in RULES[symbol] if all(_size(part, depth, topic) for part in parts))


def _drawn(production: str, depth: int, topic: str, rng: Random) -> tuple[str, int]:
    """A sentence at most `depth` deep, and its depth."""
    words, ahead, level, deepest = [], [".", production], 0, 0
    while ahead:
        symbol = ahead.pop()
        if symbol == _CLOSE:
            level -= 1
        elif symbol not in RULES:
            words.append(_even(LEXICON[topic][symbol], rng))
        else:
            if symbol.startswith("["):
                level += 1
                deepest = max(deepest, level)
                ahead.append(_CLOSE)
            ahead += reversed(_even(_completable(symbol, depth - level, topic), rng))
    return " ".join(words), deepest


class _State(NamedTuple):
    """A way to read the beginning of a sentence.

    Attributes:
      production: what the sentence is.
      level: how many clauses are open inside the sentence.
      depth: how many have been open at most.
      ahead: the symbols still to be read.
    """

    production: str
    level: int
    depth: int
    ahead: tuple[str, ...]


_CLOSE = "]"  # stands ahead where a clause inside a clause ends
_START = frozenset(_State(production, 0, 0, (production, ".")) for production in PRODUCTIONS)


@cache
def _begins(symbol: str) -> frozenset[str]:
    """The word classes that a phrase can begin with."""
    if symbol not in RULES:
        return frozenset((symbol,))
    return frozenset().union(*(_begins(parts[0]) for parts in RULES[symbol]))


@cache
def _after(states: frozenset[_State], name: str) -> frozenset[_State]:
    """The states after a word of a class: each state's first phrase is expanded until that class comes first.

    The depth is bounded, so there are finitely many sets of states, and the memory of this function becomes the
    deterministic automaton of the language, of which only what was met is built.
    """
    found, unread = set(), list(states)
    while unread:
        production, level, depth, ahead = unread.pop()
        first, rest = ahead[:1], ahead[1:]
        if first == (name,):
            found.add(_State(production, level, depth, rest))
        elif first == (_CLOSE,):
            unread.append(_State(production, level - 1, depth, rest))
        elif first and name in _begins(first[0]):
            opens = first[0].startswith("[")
            if level + opens <= DEEPEST:
                close, level = (_CLOSE,) * opens, level + opens
                for parts in RULES.get(first[0], ()):
                    unread.append(_State(production, level, max(depth, level), (*parts, *close, *rest)))
    return frozenset(found)
