"""Inputs that nobody wrote: files, settings and run directories changed at random, and read."""

import contextlib
import gzip
import json
import lzma
import multiprocessing
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from trials.trial import Trial

SLOWEST = 5.0  # seconds of CPU time that one input may take
CHUNK = 250  # inputs of one task
Attempt = Callable[[np.random.Generator], None]
_TEXT = "one two three two one\n\nÄpfel und Birnen sind 東京 😀\nthe \x85 end\u2028of it\n" * 4
_BITS = (
    *(bytes([number]) for number in (0, 9, 10, 13, 32, 34, 255)),
    *rb"{ [[[[ } : , -1 1e999 NaN Infinity 99999999999999999999 null true \u0000 __class__ type %s%n".split(),
    *b"../../../etc/passwd os:system builtins:eval".split(),
    *(b"\xfe\xff", b"\xed\xa0\x80", b"4294967297 300"),
)  # fmt: skip
_WORDS: tuple[Any, ...] = ("", "x", "\x00", "nan", "a" * 9999)
_NUMBERS: tuple[Any, ...] = (0, -1, 1, 2**63, -(2**70), 0.5, float("nan"), float("inf"))
_TYPES = (
    *("os:system", "builtins:eval", "odeembed.cli:main", "odeembed.experiment:Experiment", 3),
    *("own:Field:0123456789abcdef", "own::", "own:Experiment"),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], *_WORDS, *_NUMBERS),
    *({"type": name} for name in _TYPES),
    [{"type": "odeembed.fields.mlp:MLPField"}] * 3,
)  # fmt: skip


def changed(rng: np.random.Generator, data: bytes) -> bytes:
    """The bytes with one to four changes: flipped, cut, left out, repeated or put between."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(0, len(found) + 1))
        end = min(len(found), place + int(rng.integers(1, 40)))
        kind = rng.integers(0, 6)
        if kind == 0 and found:
            found[place % len(found)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del found[place:]
        elif kind == 2:
            del found[place:end]
        elif kind == 3:
            found[place:place] = found[place:end] * int(rng.integers(1, 5))
        elif kind == 4:
            found[place:place] = _BITS[rng.integers(0, len(_BITS))]
        else:
            found[place:end] = rng.bytes(int(rng.integers(0, 40)))
    return bytes(found)


def changed_tree(rng: np.random.Generator, tree: Any) -> Any:
    """The JSON with another value, or one less, somewhere."""
    if isinstance(tree, dict) and tree and rng.random() < 0.85:
        key = list(tree)[rng.integers(0, len(tree))]
        if rng.random() < 0.1:
            return {name: item for name, item in tree.items() if name != key}
        if rng.random() < 0.1:
            return tree | {str(_VALUES[rng.integers(0, len(_VALUES))]): tree[key]}
        return tree | {key: changed_tree(rng, tree[key])}
    if isinstance(tree, list) and tree and rng.random() < 0.85:
        place = int(rng.integers(0, len(tree)))
        return [*tree[:place], changed_tree(rng, tree[place]), *tree[place + 1 :]]
    return _VALUES[rng.integers(0, len(_VALUES))]


def texts(folder: Path) -> Attempt:
    """Text files, plain and packed, from which a vocabulary is made."""
    from odeembed.data.sources import TextFiles
    from odeembed.data.vocabulary import Words

    plain = _TEXT.encode()
    kinds = {"txt": plain, "gz": gzip.compress(plain, 1), "xz": lzma.compress(plain, preset=0)}
    pack: dict[str, Callable[[bytes], bytes]] = {
        "txt": bytes,
        "gz": lambda data: gzip.compress(data, 1),
        "xz": lambda data: lzma.compress(data, preset=0),
    }

    def attempt(rng: np.random.Generator) -> None:
        kind = list(kinds)[rng.integers(0, 3)]
        # The packing is damaged, or what was packed.
        data = changed(rng, kinds[kind]) if rng.random() < 0.5 else pack[kind](changed(rng, plain))
        file = folder / f"text.{kind}"
        file.write_bytes(data)
        Words().build(TextFiles((str(file),)).lines())

    return attempt


def vocabularies(folder: Path) -> Attempt:
    """Folders of a vocabulary of words, and of pieces."""
    from odeembed.data.vocabulary import SentencePiece, Words, load_vocabulary

    lines = _TEXT.splitlines() * 5
    kinds = [folder / "words", folder / "pieces"]
    Words().build(lines).save(kinds[0])
    SentencePiece(size=300, kind="bpe").build(lines).save(kinds[1])
    files = [(kind, path, path.read_bytes()) for kind in kinds for path in sorted(kind.iterdir())]

    def attempt(rng: np.random.Generator) -> None:
        kind, path, data = files[rng.integers(0, len(files))]
        try:
            path.write_bytes(_changed_file(rng, path, data))
            load_vocabulary(kind).encode("one two 東京")
        finally:
            path.write_bytes(data)

    return attempt


def overrides(folder: Path) -> Attempt:
    """Settings as on a command line: names of the config's own and others, values of every kind."""
    from odeembed.experiment import load_config, override, settings

    experiments = [
        load_config(name, "small") for name in ("wikitext2_jump", "physionet_latent", "mnist_odenet")
    ]
    names = [settings(one) for one in experiments]
    words = [
        *map(str, _VALUES),
        "1,2",
        "()",
        "[1 2]",
        "None",
        "--",
        "--seed",
        "1_000",
        "0x10",
        "１",
        "é",
        "a b",
        "=3",
    ]

    def attempt(rng: np.random.Generator) -> None:
        which = rng.integers(0, len(experiments))
        argv = []
        for _ in range(rng.integers(1, 4)):
            name = names[which][rng.integers(0, len(names[which]))]
            if rng.random() < 0.2:
                name = changed(rng, name.encode()).decode("utf-8", "replace")
            argv += [f"--{name}", *(words[i] for i in rng.integers(0, len(words), rng.integers(0, 3)))]
        override(experiments[which], argv)

    return attempt


def vectors(folder: Path) -> Attempt:
    """Files of word vectors in every format that is written."""
    from odeembed.evaluate.vectors import WordVectors
    from odeembed.export import Format, export, read

    rng = np.random.default_rng(0)
    words = ("the", "cat", " ", "", "a\nb", "東京", "😀", "\\u0020")
    table = WordVectors(words, rng.normal(size=(len(words), 6)).astype(np.float32), np.arange(len(words)))
    files = []
    for form in get_args(Format):
        path = export(table, folder / f"vectors-{form}", form).path
        parts = sorted(path.rglob("*")) if path.is_dir() else [path]
        files += [(form, path, part, part.read_bytes()) for part in parts if part.is_file()]

    def attempt(rng: np.random.Generator) -> None:
        form, path, part, data = files[rng.integers(0, len(files))]
        try:
            part.write_bytes(changed(rng, data))
            read(path, form)
        finally:
            part.write_bytes(data)

    return attempt


def runs(folder: Path) -> Attempt:
    """Run directories: settings, vocabulary, sums and arrays, opened as every verb opens them."""
    from odeembed.data.sources import TextFiles
    from odeembed.data.text import TextData
    from odeembed.data.vocabulary import Words
    from odeembed.experiment import load_config
    from odeembed.runs import Run, train

    text = folder / "text.txt"
    text.write_text("\n".join(f"the cat sat on mat {i % 7} of {i % 5} and {i % 11}" for i in range(400)))
    one = load_config("wikitext2_jump", "small")
    data = TextData(
        TextFiles((str(text),)), held_out=0.1, vocabulary=Words(), buckets=(16,), batch_tokens=256
    )
    tiny = replace(
        one,
        data=data,
        model=one.model.clone(embed_dim=8),
        steps=2,
        evaluate_every=2,
        checkpoint_every=2,
        scores=(),
    )
    path = folder / "run"
    train(tiny, path, report=lambda record: None)
    files = [
        (file, file.read_bytes())
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.stat().st_size
    ]

    def attempt(rng: np.random.Generator) -> None:
        file, data = files[rng.integers(0, len(files))]
        try:
            file.write_bytes(_changed_file(rng, file, data))
            Run.open(path)
        finally:
            file.write_bytes(data)

    return attempt


KINDS: dict[str, Callable[[Path], Attempt]] = {
    "text files": texts,
    "vocabularies": vocabularies,
    "settings": overrides,
    "vectors": vectors,
    "run directories": runs,
}


def fuzz(kinds: Sequence[str], count: int, workers: int, seed: int = 0) -> Iterator[Trial]:
    """Reads so many changed inputs of each kind, in processes of their own, whose end would be a failure too."""
    for kind in kinds:
        bar = f"an error of the project's own or none, within {SLOWEST:g} s of CPU time"
        trial = Trial(f"{kind}, changed at random", bar)
        start = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            done: list[Future[Any]] = [
                pool.submit(read_some, kind, min(CHUNK, count - begin), [seed, begin])
                for begin in range(0, count, CHUNK)
            ]
            for future in done:
                try:
                    read, refused, slowest, failures = future.result(CHUNK * SLOWEST)
                except (BrokenProcessPool, TimeoutError) as error:
                    trial.check(False, f"the process ended, or waited: {type(error).__name__}")
                    continue
                trial.count += read
                trial.failures += failures
                trial.figures["refused"] = trial.figures.get("refused", 0) + refused
                trial.most("slowest, s", slowest)
        trial.figures["all, s"] = time.perf_counter() - start
        yield trial


def read_some(kind: str, count: int, seed: list[int]) -> tuple[int, int, float, list[str]]:
    """How many inputs were read, how many of them refused, the seconds of the slowest, and what must not happen."""
    from odeembed.errors import OdeembedError

    folder = Path(tempfile.mkdtemp(prefix="odeembed-fuzz-"))
    refused, slowest, failures = 0, 0.0, []
    try:
        attempt = KINDS[kind](folder)
        for number in range(count):
            start, problem = time.process_time(), None
            late: list[float] = []
            try:
                with _bounded(late), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    attempt(np.random.default_rng([*seed, number]))
            except OdeembedError:
                refused += 1
            except BaseException as error:
                problem = f"{type(error).__name__}: {str(error)[:200]}"
            took = max([time.process_time() - start, *late])
            slowest = max(slowest, took)
            if problem is None and (late or took > SLOWEST):
                problem = f"{took:.1f} s"  # what ended it was taken for an error of the input
            if problem is not None:
                failures.append(f"seed {[*seed, number]}: {problem}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return count, refused, slowest, failures


@contextlib.contextmanager
def _bounded(late: list[float]) -> Iterator[None]:
    """Ends what takes longer than it may with a TimeoutError, again where it goes on, and notes its seconds.

    The timer counts by the kernel's ticks and may fire a tick early by the clock, so the note is what tells.
    """

    def end(number: int, frame: Any) -> None:
        late.append(SLOWEST * (len(late) + 1))
        raise TimeoutError(f"more than {SLOWEST:g} s")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SLOWEST, SLOWEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _changed_file(rng: np.random.Generator, path: Path, data: bytes) -> bytes:
    """JSON is changed as text or as what it says."""
    if path.suffix == ".json" and rng.random() < 0.7:
        return json.dumps(changed_tree(rng, json.loads(data))).encode()
    return changed(rng, data)
