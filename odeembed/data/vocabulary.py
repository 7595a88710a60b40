"""Vocabularies: words by a regular expression, and SentencePiece pieces; ids 0 and 1 are <pad> and <unk>."""

import difflib
import hashlib
import io
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, SupportsIndex

import numpy as np
from jaxtyping import Bool, Int64

from odeembed.data.sources import compiled, locate
from odeembed.errors import ConfigError, DataError, MissingFileError, UnknownWordError

PAD, UNK = "<pad>", "<unk>"
_FILE, _MODEL = "vocabulary.json", "sentencepiece.model"
_META = "\u2581"  # SentencePiece writes the space before a word as this symbol


@dataclass(frozen=True)
class Words:
    """A vocabulary of whole words.

    Attributes:
      pattern: regular expression that matches one word; groups must not capture: (?:...).
      lowercase: lower-case the text before matching.
      min_count: rarer words are left out.
      max_size: at most so many words, the most frequent ones; None: all.
      oov: what stands for a word left out: "unk" the token <unk>, "drop" nothing.
    """

    pattern: str = r"\S+"
    lowercase: bool = False
    min_count: int = 1
    max_size: int | None = None
    oov: Literal["unk", "drop"] = "unk"

    def __post_init__(self):
        if compiled(self.pattern).groups:
            raise ConfigError(
                f"Words.pattern {self.pattern!r} has a capturing group; expected none. Write (?:...) for (...)."
            )

    def build(self, lines: Iterable[str]) -> "WordVocabulary":
        """Counts the words of the lines and keeps the frequent ones, by falling count, ties in the order of the words.

        Raises:
          DataError: no word occurs often enough.
        """
        counts: Counter[str] = Counter()
        split = _splitter(self)
        for line in lines:
            counts.update(split(line))
        unknown = counts.pop(UNK, 0)
        counts.pop(PAD, None)
        kept = sorted(((-count, word) for word, count in counts.items() if count >= self.min_count))[
            : self.max_size
        ]
        if not kept:
            raise DataError(
                f"no word matches {self.pattern!r} at least {self.min_count} times; expected one or more. "
                f"Lower min_count or correct the pattern."
            )
        unknown += sum(counts.values()) + sum(count for count, _ in kept)
        tokens = (PAD, UNK, *(word for _, word in kept))
        return WordVocabulary(tokens, np.array([0, unknown, *(-count for count, _ in kept)], np.int64), self)

    def stamp(self) -> str:
        """What the vocabulary depends on beside the text."""
        return repr(self)


@dataclass(frozen=True)
class SentencePiece:
    """A vocabulary of SentencePiece pieces, trained on the text or loaded.

    Attributes:
      size: number of pieces, <pad> and <unk> included.
      kind: the segmentation model.
      byte_fallback: characters outside the vocabulary become their bytes instead of <unk>.
      model: a `.model` file to load instead of training one; found as TextFiles.paths are.
      sample: at most so many lines are trained on, drawn evenly from all of them.
    """

    size: int = 8000
    kind: Literal["unigram", "bpe"] = "unigram"
    byte_fallback: bool = True
    model: str | None = None
    sample: int = 200_000

    def build(self, lines: Iterable[str]) -> "SentencePieceVocabulary":
        """Trains on the lines, or loads `model`; the counts are zero until a corpus has been encoded.

        Raises:
          ConfigError: the text does not carry so many pieces.
          DataError: `model` is not a SentencePiece model.
        """
        if self.model is not None:
            return SentencePieceVocabulary(_checked_model(locate(self.model)))
        return SentencePieceVocabulary(self._trained(_sampled(lines, self.sample)))

    def stamp(self) -> str:
        """What the vocabulary depends on beside the text: the settings and the loaded model's content."""
        loaded = hashlib.sha256(locate(self.model).read_bytes()).hexdigest() if self.model is not None else ""
        return repr(self) + loaded

    def _trained(self, lines: Sequence[str]) -> bytes:
        import sentencepiece

        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                vocab_size=self.size,
                model_type=self.kind,
                byte_fallback=self.byte_fallback,
                pad_id=0,
                unk_id=1,
                bos_id=-1,
                eos_id=-1,
                num_threads=1,  # with more, the model differs from run to run
                max_sentence_length=1 << 20,  # bytes; by default longer lines are left out in silence
                minloglevel=2,
            )
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"SentencePiece cannot make {self.size} {self.kind} pieces of {len(lines)} lines: {reason} "
                f"Set vocabulary.size to fit the text."
            ) from None
        return model.getvalue()


@dataclass(frozen=True)
class WordVocabulary:
    """Whole words with their ids.

    Attributes:
      tokens: every word at the place of its id.
      counts: occurrences in the training text; those of <unk> are the words left out.
      rule: how a line becomes words.
    """

    tokens: tuple[str, ...]
    counts: Int64[np.ndarray, " v"] = field(repr=False, compare=False)
    rule: Words = Words()
    pad_id = 0
    unk_id = 1
    starts_word = None  # every token is a word

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.tokens)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the words in order and of the rule that finds them."""
        return hashlib.sha256(json.dumps([self.tokens, asdict(self.rule)]).encode()).hexdigest()

    def encode(self, line: str) -> list[int]:
        """The ids of a line's words; unknown ones as the rule says: <unk>, or left out."""
        return self.read(line)[0]

    def read(self, line: str) -> tuple[list[int], int]:
        """`encode`, and how many words of the line were out of the vocabulary."""
        words = self._split(line)
        known = [id for id in map(self._ids.get, words) if id is not None]
        unknown = len(words) - len(known)
        if unknown and self.rule.oov == "unk":
            return [self._ids.get(word, self.unk_id) for word in words], unknown
        return known, unknown

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The words, a space between; padding is left out."""
        return " ".join(self.tokens[id] for id in ids if id != self.pad_id)

    def id(self, word: str) -> int:
        """The id of one word.

        Raises:
          UnknownWordError: it is not in the vocabulary; the text names the nearest spellings.
        """
        word = word.lower() if self.rule.lowercase else word
        if word in self._ids:
            return self._ids[word]
        raise _unknown(word, self.tokens)

    def save(self, folder: Path) -> None:
        """Writes the vocabulary into a folder, from where `load_vocabulary` reads it."""
        facts = {"kind": "words", "rule": asdict(self.rule), "tokens": self.tokens}
        _write(Path(folder), facts, self)

    @cached_property
    def _split(self):
        return _splitter(self.rule)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: id for id, word in enumerate(self.tokens) if id > self.unk_id}


@dataclass(frozen=True)
class SentencePieceVocabulary:
    """SentencePiece pieces with ids in which <pad> is 0 and <unk> is 1, whatever the model's own are.

    Attributes:
      model: the serialised model.
      counts: occurrences of each piece in the training text.
    """

    model: bytes = field(repr=False)
    counts: Int64[np.ndarray, " v"] = field(
        default_factory=lambda: np.zeros(0, np.int64), repr=False, compare=False
    )
    pad_id = 0
    unk_id = 1

    def __post_init__(self):
        if not self.counts.size:
            object.__setattr__(self, "counts", np.zeros(self.size, np.int64))

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.tokens)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Every piece at the place of its id; U+2581 stands for the space before a word."""
        return (PAD, UNK, *(self._processor.id_to_piece(id) for id in self._model_ids[2:]))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the model."""
        return hashlib.sha256(self.model).hexdigest()

    @cached_property
    def starts_word(self) -> Bool[np.ndarray, " v"]:
        """True for pieces that begin a word; <unk>, which stands for a whole word in some corpora, among them."""
        starts = np.array([piece.startswith(_META) for piece in self.tokens])
        starts[[self.pad_id, self.unk_id]] = True
        return starts

    def encode(self, line: str) -> list[int]:
        """The ids of a line's pieces; a literal <unk> in the line is one piece."""
        ids: list[int] = []
        for number, part in enumerate(line.split(UNK)):
            ids += [self.unk_id] if number else []
            ids += [self._ids[id] for id in self._processor.encode(part)] if part.strip() else []
        return ids

    def read(self, line: str) -> tuple[list[int], int]:
        """`encode`, and how many pieces of the line are <unk>."""
        ids = self.encode(line)
        return ids, ids.count(self.unk_id)

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The text; padding is left out."""
        return self._processor.decode([self._model_ids[id] for id in ids if id != self.pad_id])

    def id(self, word: str) -> int:
        """The id of the piece that is this whole word, or failing that this piece.

        Raises:
          UnknownWordError: it is not in the vocabulary; the text names the nearest spellings.
        """
        for piece in (_META + word, word):
            if piece in self._pieces:
                return self._pieces[piece]
        raise _unknown(word, [piece.removeprefix(_META) for piece in self.tokens])

    def save(self, folder: Path) -> None:
        """Writes the vocabulary into a folder, from where `load_vocabulary` reads it."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / _MODEL).write_bytes(self.model)
        _write(Path(folder), {"kind": "sentencepiece"}, self)

    @cached_property
    def _processor(self):
        import sentencepiece

        try:
            return sentencepiece.SentencePieceProcessor(model_proto=self.model)
        except RuntimeError as error:
            raise _not_a_model("the vocabulary", " ".join(str(error).split())) from None

    @cached_property
    def _model_ids(self) -> list[int]:
        """The model's own id at the place of ours; a model without padding has -1 there."""
        special = [self._processor.pad_id(), self._processor.unk_id()]
        return special + [id for id in range(self._processor.get_piece_size()) if id not in special]

    @cached_property
    def _ids(self) -> dict[int, int]:
        return {theirs: ours for ours, theirs in enumerate(self._model_ids)}

    @cached_property
    def _pieces(self) -> dict[str, int]:
        return {piece: id for id, piece in enumerate(self.tokens) if id > self.unk_id}


Vocabulary = WordVocabulary | SentencePieceVocabulary


def load_vocabulary(folder: Path) -> Vocabulary:
    """Reads what `save` wrote.

    Raises:
      MissingFileError: the folder holds no vocabulary.
      DataError: its content does not match the hash written with it.
    """
    path = Path(folder) / _FILE
    if not path.exists():
        raise MissingFileError(
            f"no vocabulary: {path} is missing. Prepare the corpus again, or name another run."
        )
    try:
        facts = json.loads(path.read_text("utf-8"))
        vocabulary = _rebuilt(facts, Path(folder))
        if vocabulary.fingerprint == facts["fingerprint"] and len(vocabulary.counts) == vocabulary.size:
            return vocabulary
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, OSError):
        pass  # the file does not even have the form of a vocabulary: said below
    raise DataError(
        f"{path} is damaged: its content does not match its hash. Restore it or prepare the corpus again."
    )


def _rebuilt(facts: dict[str, Any], folder: Path) -> Vocabulary:
    counts = np.array(facts["counts"], np.int64)
    if facts["kind"] == "words":
        return WordVocabulary(tuple(facts["tokens"]), counts, Words(**facts["rule"]))
    model = (folder / _MODEL).read_bytes()
    if hashlib.sha256(model).hexdigest() != facts["fingerprint"]:
        raise ValueError("another model")  # before SentencePiece sees the bytes
    return SentencePieceVocabulary(model, counts)


def _write(folder: Path, facts: dict[str, Any], vocabulary: Vocabulary) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    facts |= {"counts": vocabulary.counts.tolist(), "fingerprint": vocabulary.fingerprint}
    (folder / _FILE).write_text(json.dumps(facts, ensure_ascii=False), "utf-8")


def _splitter(rule: Words):
    """A line's words; a literal <unk> in the line is a word of its own, whatever the pattern."""
    findall = re.compile(rule.pattern).findall
    lower = str.lower if rule.lowercase else str

    def split(line: str) -> list[str]:
        if UNK not in line:
            return findall(lower(line))
        words: list[str] = []
        for number, part in enumerate(line.split(UNK)):
            words += [UNK] if number else []
            words += findall(lower(part))
        return words

    return split


def _unknown(word: str, tokens: Sequence[str]) -> UnknownWordError:
    similar = [token for token in tokens if abs(len(token) - len(word)) < 3]
    near = difflib.get_close_matches(word, similar, n=5)
    hint = f"Nearest spellings: {', '.join(near)}" if near else "No spelling is near it"
    return UnknownWordError(f"{word!r} is not among the {len(tokens)} words of the vocabulary. {hint}.")


def _sampled(lines: Iterable[str], size: int) -> list[str]:
    """At most `size` non-blank lines, each equally likely (reservoir sampling), the same in every run."""
    kept: list[str] = []
    draw = random.Random(0).random
    for number, line in enumerate(line for line in lines if line and not line.isspace()):
        if number < size:
            kept.append(line)
        elif (place := int(draw() * (number + 1))) < size:
            kept[place] = line
    return [line.replace(UNK, " ") for line in kept]


_CHILD = """
import resource, sys, sentencepiece
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
sentencepiece.SentencePieceProcessor(model_proto=sys.stdin.buffer.read()).encode("a test")
"""


def _checked_model(path: Path) -> bytes:
    """The bytes of a stranger's model, after a child process with bounded time and memory has opened them."""
    model = path.read_bytes()
    try:
        child = subprocess.run(
            [sys.executable, "-c", _CHILD], input=model, capture_output=True, timeout=60, check=False
        )
        reason = child.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    except subprocess.TimeoutExpired:
        raise _not_a_model(str(path), "opening it took more than 60 seconds") from None
    if child.returncode:
        raise _not_a_model(str(path), reason or f"opening it ended with status {child.returncode}")
    return model


def _not_a_model(name: str, reason: str) -> DataError:
    return DataError(
        f"{name} is not a SentencePiece model ({reason}); expected a .model file. Name another, or train one."
    )
