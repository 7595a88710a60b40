"""Preparing a corpus once: its vocabulary, and its tokens in memory-mapped files, safe against kills and rivals."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from odeembed.data.sentences import sentences
from odeembed.data.sources import TAB, Source, TextFiles, shown
from odeembed.data.splits import SPLITS
from odeembed.data.vocabulary import SentencePiece, Vocabulary, Words, load_vocabulary
from odeembed.errors import DataError

TOKENS, OFFSETS = "tokens.bin", "offsets.bin"
_MANIFEST, _PROGRESS, _VOCABULARY, _COPY = "manifest.json", "progress.json", "vocabulary", "train.txt"
_FORMAT = 1  # renew it when the same text would be prepared into other tokens
_CHUNK = 4096  # lines; the text's hash is chained over chunks, so a restart can continue it
_SAVE_SECONDS = 5.0
_COUNTERS = ("lines", "tokens", "examples", "unknown", "cut", "short", "short_tokens")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the content of a prepared corpus, and nothing else.

    Attributes:
      train, valid, test: the sources; a split without its own takes `held_out` of the train lines.
      held_out: that fraction.
      vocabulary: how the vocabulary is made, of the train lines alone.
      unit: what an example is; both halves of a pair are one each.
      longest: examples of more tokens are cut into pieces of so many; of the halves of a pair the first piece is kept.
      shortest: examples or pieces of fewer tokens are left out, and pairs with such a half.
      longer: "leave": examples of more than `longest` tokens, and pairs with such a half, are left out instead of cut.
    """

    train: Source
    valid: Source | None
    test: Source | None
    held_out: float
    vocabulary: Words | SentencePiece
    unit: str
    longest: int
    shortest: int
    longer: str = "cut"

    def key(self) -> str:
        """Names the cache folder; costs no reading of the text."""
        sources = [source and source.stamp() for source in (self.train, self.valid, self.test)]
        facts = [
            _FORMAT,
            sources,
            self.held_out,
            self.vocabulary.stamp(),
            self.unit,
            self.longest,
            self.shortest,
            *([self.longer] if self.longer != "cut" else []),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def passes(self) -> list[tuple[Source, tuple[str, ...]]]:
        """Each source with the splits its lines go to."""
        own = {"train": self.train, "valid": self.valid, "test": self.test}
        shared = tuple(split for split in SPLITS if split == "train" or own[split] is None)
        return [(self.train, shared), *((own[split], (split,)) for split in SPLITS if split not in shared)]

    def counters(self) -> tuple[str, ...]:
        """What is counted in every split; the names of numbers of tokens end in "tokens"."""
        lost = ("cut_tokens",) if self.unit == "pair" else ()
        return _COUNTERS + (("long", "long_tokens") if self.longer == "leave" else lost)

    def texts(self, line: str) -> list[str]:
        """What of a line the vocabulary is made of, text by text: the line, or the halves of a pair."""
        return line.split(TAB) if self.unit == "pair" else [line]

    def units(self, line: str) -> Iterable[str]:
        """What of a line becomes examples: the line, its sentences, or the halves of a pair."""
        return sentences(line) if self.unit == "sentence" else self.texts(line)


def cache_root(folder: Path | None = None) -> Path:
    """The folder of all caches: the one given, $ODEEMBED_CACHE, or ~/.cache/odeembed."""
    return Path(folder or os.environ.get("ODEEMBED_CACHE") or "~/.cache/odeembed").expanduser()


def prepare(data: Any, seed: int = 0, **options: Any) -> Any:
    """Prepares the corpus of a `TextData` unless that is done, and opens it; options as for `TextData.open`."""
    return data.open(seed, **options)


def inspect(dataset: Any) -> dict[str, Any]:
    """Numbers about an open dataset, for people: see `TextDataset.inspect`."""
    return dataset.inspect()


def prepared(recipe: Recipe, root: Path, progress: Progress | None = None) -> Path:
    """The folder with the prepared corpus, made first if it is not there.

    A process that is killed leaves part files and their progress, from where the next one continues; of two that
    prepare the same corpus the second waits for the first. The manifest is written last: a folder that has one whose
    sizes are right is whole.

    Raises:
      DataError: text that cannot be used, or a full disk.
    """
    report = progress or (lambda text: None)
    folder = root / "corpora" / recipe.key()
    if read_manifest(folder) is None:
        with _disk_errors(folder), _alone(folder, report):
            if read_manifest(folder) is None:
                _make(recipe, folder, report)
    return folder


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The facts of a prepared corpus; None when it is unfinished or its files have other sizes than it says."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
        whole = all(os.path.getsize(folder / name) == size for name, size in manifest["sizes"].items())
    except (OSError, ValueError, KeyError):
        return None
    return manifest if whole else None


def corpus_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of a prepared corpus."""
    return load_vocabulary(folder / _VOCABULARY)


def target_texts(recipe: Recipe, split: str, vocabulary: Vocabulary) -> Iterator[str]:
    """Yields the targets of a split's pairs as they stand in the text, without those of pairs that are left out."""
    source, splits = next((source, splits) for source, splits in recipe.passes() if split in splits)
    for chunk in _chunks(recipe, source, splits, 0, lambda text: None):
        for line in chunk.lines[split]:
            halves = recipe.texts(line)
            if _kept_halves([vocabulary.read(half)[0] for half in halves], recipe, Counter()):
                yield halves[1]


def cut(ids: list[int], longest: int) -> list[list[int]]:
    """Pieces of `longest` tokens; the last one holds the remainder."""
    return [ids[start : start + longest] for start in range(0, len(ids), longest)]


def splits_of(
    numbers: Int64[np.ndarray, " n"], splits: tuple[str, ...], held_out: float
) -> UInt8[np.ndarray, " n"]:
    """For each line number the place in `splits` its line goes to: place 0 unless the number's hash is small.

    The hash is splitmix64 (Steele, Lea and Flood 2014), so the choice depends on nothing but the number.
    """
    x = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = (x ^ (x >> np.uint64(31))) / 2.0**64
    places = np.zeros(len(numbers), np.uint8)
    for place in range(len(splits) - 1, 0, -1):
        places[uniform < held_out * place] = place
    return places


def _make(recipe: Recipe, folder: Path, report: Progress) -> None:
    for left in folder.glob("*.tmp"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    (folder / _MANIFEST).unlink(missing_ok=True)
    copy = folder / _COPY
    if not isinstance(recipe.train, TextFiles):  # it is read twice, and reading it is slow
        recipe = replace(recipe, train=_copied(recipe, copy, report))
    vocabulary = _vocabulary(recipe, folder, report)
    state = _encode(recipe, vocabulary, folder, report)
    _count_pieces(vocabulary, folder)
    names = [f"{split}.{kind}" for split in SPLITS for kind in (TOKENS, OFFSETS)]
    for name in names:
        os.replace(folder / f"{name}.part", folder / name)
    sizes = {name: os.path.getsize(folder / name) for name in names}
    corpus = hashlib.sha256("".join(state["digests"]).encode()).hexdigest()
    manifest = {
        "corpus": corpus,
        "vocabulary": vocabulary.fingerprint,
        "sizes": sizes,
        "splits": state["splits"],
    }
    _write_json(folder / _MANIFEST, manifest)
    for left in (folder / _PROGRESS, copy):
        left.unlink(missing_ok=True)
    report(f"prepared {state['splits']['train']['tokens']:,} train tokens in {folder}")


def _copied(recipe: Recipe, copy: Path, report: Progress) -> TextFiles:
    """The train source's lines in a file of their own."""
    if not copy.exists():
        building = copy.with_suffix(".tmp")
        with open(building, "w", encoding="utf-8") as file:
            for chunk in _chunks(recipe, recipe.train, ("train",), 0, report):
                file.writelines(line + "\n" for line in chunk.lines["train"])
        os.replace(building, copy)
    return TextFiles((str(copy),))


def _vocabulary(recipe: Recipe, folder: Path, report: Progress) -> Vocabulary:
    final = folder / _VOCABULARY
    if not final.exists():
        source, splits = recipe.passes()[0]
        texts = (
            text
            for chunk in _chunks(recipe, source, splits, 0, report)
            for line in chunk.lines["train"]
            for text in recipe.texts(line)
        )
        building = folder / f"{_VOCABULARY}.tmp"
        recipe.vocabulary.build(texts).save(building)
        os.replace(building, final)
        (folder / _PROGRESS).unlink(missing_ok=True)  # tokens of another vocabulary
    return load_vocabulary(final)


def _count_pieces(vocabulary: Vocabulary, folder: Path) -> None:
    """Gives a vocabulary that was not made by counting (SentencePiece) its counts in the train split."""
    if vocabulary.counts.any():
        return
    tokens = folder / f"train.{TOKENS}.part"
    for block in _blocks(tokens):
        vocabulary.counts[:] += np.bincount(block, minlength=vocabulary.size)
    building = folder / f"{_VOCABULARY}.tmp"
    vocabulary.save(building)
    os.replace(building / "vocabulary.json", folder / _VOCABULARY / "vocabulary.json")
    shutil.rmtree(building)


def _blocks(path: Path, size: int = 1 << 22) -> Iterator[np.ndarray]:
    """The int32 tokens of a file, a block at a time."""
    with open(path, "rb") as file:
        while (block := np.fromfile(file, np.int32, size)).size:
            yield block


@dataclass(frozen=True)
class _Chunk:
    """Consecutive lines of a source, by split, with how many lines of the source have been read."""

    lines: dict[str, list[str]]
    read: int
    digest: str


def _chunks(
    recipe: Recipe, source: Source, splits: tuple[str, ...], skip: int, report: Progress, digest: str = ""
) -> Iterator[_Chunk]:
    lines = _paired(source.lines(), splits[0]) if recipe.unit == "pair" else source.lines()
    lines = islice(lines, skip, None)
    read, said = skip, time.monotonic()
    while chunk := list(islice(lines, _CHUNK)):
        places = splits_of(np.arange(read, read + len(chunk), dtype=np.int64), splits, recipe.held_out)
        by_split: dict[str, list[str]] = {split: [] for split in splits}
        for line, place in zip(chunk, places.tolist(), strict=True):
            by_split[splits[place]].append(line)
        read += len(chunk)
        digest = hashlib.sha256("\n".join([digest, *chunk]).encode()).hexdigest()
        if time.monotonic() - said > 1.0:
            said = time.monotonic()
            report(f"preparing {'/'.join(splits)}: {read:,} lines read")
        yield _Chunk(by_split, read, digest)
    if not read:
        raise DataError(f"{source} holds no lines; expected text. Give another source, or correct `skip`.")


def _paired(lines: Iterable[str], split: str) -> Iterator[str]:
    """The same lines, each checked to be a pair."""
    for number, line in enumerate(lines, 1):
        tabs = line.count(TAB)
        if tabs != 1:
            raise DataError(
                f"data.{split}, line {number}: {tabs or 'no'} tab{'s' * (tabs > 1)} in {shown(line)}; expected one, "
                f"between source and target. Mend the line, or set data.unit to line."
            )
        yield line


class _Writer:
    """The two growing part files of one split and its counters."""

    def __init__(self, folder: Path, split: str, counters: dict[str, int]):
        self.counters = counters
        self._tokens = _grown(folder / f"{split}.{TOKENS}.part", 4 * counters["tokens"])
        self._offsets = _grown(folder / f"{split}.{OFFSETS}.part", 8 * counters["examples"])

    def write(self, ids: array, lengths: list[int]) -> None:
        self._tokens.write(ids)
        ends = self.counters["tokens"] + np.cumsum(lengths, dtype=np.int64)
        self._offsets.write(ends.tobytes())
        self.counters["tokens"] += len(ids)
        self.counters["examples"] += len(lengths)

    def flush(self) -> None:
        for file in (self._tokens, self._offsets):
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        self._tokens.close()
        self._offsets.close()


def _grown(path: Path, size: int):
    """Opens a file for appending after its first `size` bytes; what a killed process wrote beyond them goes."""
    path.touch()
    os.truncate(path, size)
    return open(path, "ab")


def _encode(recipe: Recipe, vocabulary: Vocabulary, folder: Path, report: Progress) -> dict[str, Any]:
    """Writes the tokens of every split, continuing where the recorded progress ends."""
    state = _read_progress(folder, recipe)
    with contextlib.ExitStack() as open_files:
        writers = {split: _Writer(folder, split, state["splits"][split]) for split in SPLITS}
        for writer in writers.values():
            open_files.callback(writer.close)
        saved = time.monotonic()
        for number, (source, splits) in enumerate(recipe.passes()):
            if state["done"][number]:
                continue
            skip, digest = state["read"][number], state["digests"][number]
            for chunk in _chunks(recipe, source, splits, skip, report, digest):
                for split, lines in chunk.lines.items():
                    _write_lines(lines, vocabulary, recipe, writers[split])
                state["read"][number], state["digests"][number] = chunk.read, chunk.digest
                if time.monotonic() - saved > _SAVE_SECONDS:
                    _save_progress(folder, state, writers)
                    saved = time.monotonic()
            state["done"][number] = True
        _save_progress(folder, state, writers)
    return state


def _write_lines(lines: Iterable[str], vocabulary: Vocabulary, recipe: Recipe, writer: _Writer) -> None:
    ids, lengths, counters = array("i"), [], writer.counters
    kept = _kept_halves if recipe.unit == "pair" else _kept_pieces
    for line in lines:
        counters["lines"] += 1
        units = []
        for unit in recipe.units(line):
            tokens, unknown = vocabulary.read(unit)
            counters["unknown"] += unknown
            units.append(tokens)
        for example in kept(units, recipe, counters):
            ids.extend(example)
            lengths.append(len(example))
    writer.write(ids, lengths)


def _kept_pieces(units: list[list[int]], recipe: Recipe, counters: dict[str, int]) -> Iterator[list[int]]:
    """The examples that a line's units make: each whole or in pieces, without what is left out."""
    for tokens in units:
        if recipe.longer == "leave" and len(tokens) > recipe.longest:
            _leave_out("long", [tokens], counters)
            continue
        counters["cut"] += len(tokens) > recipe.longest
        for piece in cut(tokens, recipe.longest):
            if len(piece) < recipe.shortest:
                _leave_out("short", [piece], counters)
            else:
                yield piece


def _kept_halves(halves: list[list[int]], recipe: Recipe, counters: dict[str, int]) -> list[list[int]]:
    """The two examples that a pair makes, or none."""
    lengths = [len(half) for half in halves]
    if min(lengths) < max(1, recipe.shortest):
        _leave_out("short", halves, counters)
        return []
    if recipe.longer == "leave" and max(lengths) > recipe.longest:
        _leave_out("long", halves, counters)
        return []
    for length in lengths:
        if length > recipe.longest:
            counters["cut"] += 1
            counters["cut_tokens"] += length - recipe.longest
    return [half[: recipe.longest] for half in halves]


def _leave_out(reason: str, parts: list[list[int]], counters: dict[str, int]) -> None:
    """Counts one example, or pair, that is not written."""
    counters[reason] += 1
    counters[f"{reason}_tokens"] += sum(map(len, parts))


def _read_progress(folder: Path, recipe: Recipe) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, KeyError):
        state = json.loads((folder / _PROGRESS).read_text("utf-8"))
        if all(_has_grown(folder, split, counters) for split, counters in state["splits"].items()):
            return state
    passes = len(recipe.passes())
    return {
        "done": [False] * passes,
        "read": [0] * passes,
        "digests": [""] * passes,
        "splits": {split: dict.fromkeys(recipe.counters(), 0) for split in SPLITS},
    }


def _has_grown(folder: Path, split: str, counters: dict[str, int]) -> bool:
    """Whether a split's part files reach as far as its counters say."""
    tokens, offsets = (os.path.getsize(folder / f"{split}.{kind}.part") for kind in (TOKENS, OFFSETS))
    return tokens >= 4 * counters["tokens"] and offsets >= 8 * counters["examples"]


def _save_progress(folder: Path, state: dict[str, Any], writers: dict[str, _Writer]) -> None:
    for writer in writers.values():
        writer.flush()
    _write_json(folder / _PROGRESS, state)


def _write_json(path: Path, facts: Any) -> None:
    building = path.with_name(path.name + ".tmp")
    with open(building, "w", encoding="utf-8") as file:
        json.dump(facts, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(building, path)


@contextlib.contextmanager
def _alone(folder: Path, report: Progress) -> Iterator[None]:
    """Holds the folder's lock, which the system takes back when the process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that prepares {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"the disk is full while preparing a corpus in {folder}; what is done stays. "
            f"Free some space, or set ODEEMBED_CACHE to a folder on another disk, and run again."
        ) from None
