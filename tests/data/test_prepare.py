"""Prepared corpora: against hand counts, through kills and rivals, and on a full disk."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from odeembed.data import prepare
from odeembed.data.prepare import Recipe, cut, prepared, read_manifest, splits_of
from odeembed.data.sources import PairFiles, Scan, TextFiles
from odeembed.data.splits import SPLITS
from odeembed.data.vocabulary import SentencePiece, Words
from odeembed.errors import DataError


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    path = tmp_path / "text.txt"
    path.write_text(
        "".join(
            f"line {number} of {number % 7} words " + "w " * (number % 11) + "\n" for number in range(900)
        )
    )
    return Recipe(TextFiles((str(path),)), None, None, 0.1, Words(min_count=2), "line", 8, 2)


def content(folder: Path) -> dict[str, bytes]:
    names = [f"{split}.{kind}" for split in SPLITS for kind in (prepare.TOKENS, prepare.OFFSETS)]
    return {
        name: (folder / name).read_bytes() for name in [*names, "vocabulary/vocabulary.json", "manifest.json"]
    }


def test_splits_partition_the_lines_by_their_numbers_alone():
    numbers = np.arange(200_000)
    places = splits_of(numbers, ("train", "valid", "test"), 0.02)
    np.testing.assert_array_equal(
        places[500:600], splits_of(numbers[500:600], ("train", "valid", "test"), 0.02)
    )
    shares = np.bincount(places, minlength=3) / len(places)
    np.testing.assert_allclose(shares, [0.96, 0.02, 0.02], atol=5 * np.sqrt(0.02 / 200_000))
    assert not splits_of(numbers, ("train",), 0.02).any()


def test_long_examples_are_cut_and_lose_nothing():
    assert cut([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert cut([], 2) == []


def test_counters_match_a_hand_count(tmp_path):
    (tmp_path / "a.txt").write_text("a b c d e\n\nf\na b x\n")
    recipe = Recipe(TextFiles((str(tmp_path / "a.txt"),)), None, None, 0.0, Words(min_count=2), "line", 2, 2)
    folder = prepared(recipe, tmp_path / "cache")
    assert read_manifest(folder)["splits"]["train"] == {
        "lines": 4,
        "tokens": 6,  # [a b] [c d] [a b]; the pieces [e], [f] and [x] are short
        "examples": 3,
        "unknown": 5,
        "cut": 2,
        "short": 3,
        "short_tokens": 3,
    }
    assert np.fromfile(folder / "train.tokens.bin", np.int32).tolist() == [2, 3, 1, 1, 2, 3]
    assert np.fromfile(folder / "train.offsets.bin", np.int64).tolist() == [2, 4, 6]


def paired(folder: Path, text: str, **settings) -> tuple[Path, dict[str, int]]:
    """The folder and the train counters of a corpus of pairs, buckets up to 3 tokens, at least 2."""
    (folder / "pairs.txt").write_text(text)
    source = TextFiles((str(folder / "pairs.txt"),))
    recipe = Recipe(source, None, None, 0.0, Words(min_count=2), "pair", 3, 2)
    prepared_in = prepared(replace(recipe, **settings), folder / "cache")
    return prepared_in, read_manifest(prepared_in)["splits"]["train"]


PAIRS = "a b\tx y z\na b a b a\tx y x y\n\tx\na q\tx y\na b\tx\n"


def test_counters_of_pairs_match_a_hand_count(tmp_path):
    folder, counters = paired(tmp_path, PAIRS)
    assert counters == {
        "lines": 5,
        "tokens": 5 + 6 + 4,  # the empty half takes x, and the half x takes a b, out with it
        "examples": 6,
        "unknown": 2,  # z, q
        "cut": 2,
        "short": 2,
        "short_tokens": 1 + 3,
        "cut_tokens": 2 + 1,
    }
    tokens = prepare.corpus_vocabulary(folder).tokens
    read = np.split(
        np.fromfile(folder / "train.tokens.bin", np.int32),
        np.fromfile(folder / "train.offsets.bin", np.int64)[:-1],
    )
    assert [" ".join(tokens[id] for id in half) for half in read] == [
        "a b", "x y <unk>", "a b a", "x y x", "a <unk>", "x y"
    ]  # fmt: skip


def test_empty_halves_are_short_whatever_the_least_length(tmp_path):
    counters = paired(tmp_path, PAIRS, shortest=0)[1]
    assert (counters["short"], counters["short_tokens"], counters["examples"]) == (1, 1, 8)
    assert paired(tmp_path, PAIRS, shortest=1)[1] == counters
    dropped = paired(tmp_path, PAIRS + "r\tx y\n", shortest=1, vocabulary=Words(min_count=2, oov="drop"))[1]
    assert (dropped["short"], dropped["short_tokens"]) == (2, 1 + 2)  # r is dropped, and its half is empty


def test_pairs_with_a_half_too_long_can_be_left_out_whole(tmp_path):
    folder, counters = paired(tmp_path, PAIRS, longer="leave")
    assert counters == {
        "lines": 5,
        "tokens": 9,
        "examples": 4,
        "unknown": 2,
        "cut": 0,
        "short": 2,
        "short_tokens": 4,
        "long": 1,
        "long_tokens": 9,
    }
    assert np.fromfile(folder / "train.offsets.bin", np.int64).tolist() == [2, 5, 7, 9]


@pytest.mark.parametrize("unit", ["line", "sentence"])
def test_examples_too_long_can_be_left_out_whole(tmp_path, unit):
    (tmp_path / "a.txt").write_text("a b c d e\n\nf\na b\na b c\n")
    recipe = Recipe(TextFiles((str(tmp_path / "a.txt"),)), None, None, 0.0, Words(), unit, 3, 2, "leave")
    folder = prepared(recipe, tmp_path / "cache")
    counters = read_manifest(folder)["splits"]["train"]
    assert {name: counters[name] for name in ("tokens", "examples", "cut", "short", "long", "long_tokens")} == {
        "tokens": 5, "examples": 2, "cut": 0, "short": 1, "long": 1, "long_tokens": 5
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "what"), [("no pair", "no tab in 'no pair'"), ("a\tb\tc", "2 tabs in"), ("", "no tab in ''")]
)
def test_a_line_that_is_no_pair_is_named_by_split_and_number(tmp_path, line, what):
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("a b\tc d\n" * 6000)
    bad.write_text("a b\tc d\n" * 4999 + f"{line}\n" + "a b\tc d\n")
    sources = {"train": TextFiles((str(good),)), "valid": TextFiles((str(bad),))}
    for vocabulary in (Words(), SentencePiece(size=266, kind="bpe")):
        with pytest.raises(DataError, match=rf"^data\.valid, line 5000: {what}.*expected one.*data\.unit"):
            prepared(
                Recipe(sources["train"], sources["valid"], None, 0.0, vocabulary, "pair", 8, 1),
                tmp_path / "cache",
            )
        with pytest.raises(DataError, match=r"^data\.train, line 5000:"):
            prepared(Recipe(sources["valid"], None, None, 0.1, vocabulary, "pair", 8, 1), tmp_path / "cache")


def test_one_vocabulary_is_made_of_both_halves_each_by_itself(tmp_path):
    folder, _ = paired(tmp_path, PAIRS, vocabulary=Words(pattern=r".+"))
    assert set(prepare.corpus_vocabulary(folder).tokens[2:]) == {
        "a b", "x y z", "a b a b a", "x y x y", "x", "a q", "x y"
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_pieces_of_pairs_hold_no_tab_and_the_symbol_for_a_space_does_no_harm(tmp_path, kind):
    text = "the \u2581 cat\tdie\u2581Katze sieht\n\u2581\t\u2581\u2581 Hund\nthe dog\tder Hund\n"
    vocabulary = SentencePiece(size=278, kind=kind)
    folder, counters = paired(tmp_path, text * 30, vocabulary=vocabulary, longest=30, shortest=1)
    vocabulary = prepare.corpus_vocabulary(folder)
    assert not any("\t" in token or token.count("\u2581") > 1 for token in vocabulary.tokens)
    ids = np.fromfile(folder / "train.tokens.bin", np.int32)
    ends = np.fromfile(folder / "train.offsets.bin", np.int64)
    halves = [vocabulary.decode(half) for half in np.split(ids, ends)[:4]]
    assert halves == ["the cat", "die Katze sieht", "the dog", "der Hund"]  # a half of spaces alone is empty
    assert (counters["short"], counters["unknown"]) == (30, 0)
    np.testing.assert_array_equal(vocabulary.counts, np.bincount(ids, minlength=vocabulary.size))


@pytest.mark.slow
def test_multi30k_has_its_published_number_of_pairs(corpora, tmp_path):
    folder = corpora / "multi30k"
    if not folder.is_dir():
        pytest.skip("needs multi30k in the folder of corpora")
    sides = [(str(folder / f"train.{language}.gz"),) for language in ("en", "de")]
    recipe = Recipe(PairFiles(*sides), None, None, 0.0, Words(), "pair", 32, 1)
    whole = prepared(recipe, tmp_path)
    counted = read_manifest(whole)["splits"]["train"]
    assert (counted["lines"], counted["examples"], counted["short"]) == (29_000, 58_000, 0)
    words = [[len(line.split()) for line in TextFiles(side).lines()] for side in sides]
    assert counted["tokens"] + counted["cut_tokens"] == sum(map(sum, words))
    assert counted["cut"] == sum(n > 32 for side in words for n in side) > 0
    assert not (whole / "train.txt").exists()  # the copy that was read twice


@pytest.mark.slow
def test_scan_has_its_published_number_of_pairs(corpora, tmp_path):
    folder = corpora / "scan"
    if not folder.is_dir():
        pytest.skip("needs scan in the folder of corpora")
    train, test = (Scan((str(folder / f"tasks_{split}_simple.txt.gz"),)) for split in ("train", "test"))
    whole = prepared(Recipe(train, test, test, 0.0, Words(), "pair", 48, 1), tmp_path)
    splits = read_manifest(whole)["splits"]
    assert (splits["train"]["lines"], splits["test"]["lines"]) == (16_728, 4_182)
    assert all(counted["examples"] == 2 * counted["lines"] for counted in splits.values())
    assert all(counted["unknown"] == counted["cut"] == 0 for counted in splits.values())
    # 13 words of commands and 6 actions; the longest pair has 48 (Lake and Baroni 2018).
    assert len(prepare.corpus_vocabulary(whole).tokens) == 2 + 13 + 6
    assert np.diff(np.fromfile(whole / "train.offsets.bin", np.int64)).max() == 48


def test_wikitext2_has_its_published_counts(corpora, tmp_path):
    source = TextFiles((str(corpora / "wikitext2" / "valid.txt.gz"),))
    folder = prepared(Recipe(source, None, None, 0.0, Words(), "line", 64, 2), tmp_path)
    counted = read_manifest(folder)["splits"]["train"]
    assert counted["lines"] == 3_760
    assert (
        counted["tokens"] + counted["short_tokens"] == 217_646 - 3_760
    )  # published with one end-of-line a line
    train = TextFiles((str(corpora / "wikitext2" / "train.txt.gz"),))
    assert (
        Words().build(train.lines()).size == 33_278
    )  # published with end-of-line; ours has <pad> in its place


def test_the_vocabulary_is_made_of_train_lines_alone(tmp_path):
    for name, text in (("train", "a b\nb c\n"), ("valid", "a z\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    train, valid = (TextFiles((str(tmp_path / f"{name}.txt"),)) for name in ("train", "valid"))
    folder = prepared(Recipe(train, valid, valid, 0.0, Words(), "line", 8, 1), tmp_path / "cache")
    assert "z" not in prepare.corpus_vocabulary(folder).tokens
    assert read_manifest(folder)["splits"]["valid"]["unknown"] == 1


def test_pieces_get_their_counts_from_the_train_split(tmp_path):
    (tmp_path / "a.txt").write_text("the dog sees the cat again\n" * 20)
    source = TextFiles((str(tmp_path / "a.txt"),))
    recipe = Recipe(source, source, source, 0.0, SentencePiece(size=280, kind="bpe"), "line", 64, 1)
    folder = prepared(recipe, tmp_path / "cache")
    tokens = np.fromfile(folder / "train.tokens.bin", np.int32)
    vocabulary = prepare.corpus_vocabulary(folder)
    np.testing.assert_array_equal(vocabulary.counts, np.bincount(tokens, minlength=vocabulary.size))


def test_a_prepared_corpus_is_not_prepared_again(recipe, tmp_path, monkeypatch):
    folder = prepared(recipe, tmp_path / "cache")
    monkeypatch.setattr(prepare, "_make", lambda *_: pytest.fail("prepared twice"))
    assert prepared(recipe, tmp_path / "cache") == folder


def test_memory_does_not_grow_with_the_text(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "_CHUNK", 256)
    peaks = []
    for lines in (2_000, 16_000):
        file = tmp_path / f"{lines}.txt"
        file.write_text("".join(f"line {number % 97} of some words\n" for number in range(lines)))
        recipe = Recipe(TextFiles((str(file),)), None, None, 0.1, Words(), "line", 8, 2)
        tracemalloc.start()
        prepared(recipe, tmp_path / "cache")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_cache_folder_depends_on_text_and_settings(recipe):
    others = [
        replace(recipe, longest=9),
        replace(recipe, vocabulary=Words()),
        replace(recipe, unit="sentence"),
        replace(recipe, valid=recipe.train),
        replace(recipe, held_out=0.2),
    ]
    assert len({one.key() for one in [recipe, *others]}) == 6


class Fixed(TextFiles):
    """Text files whose stamp is the same everywhere."""

    def stamp(self) -> str:
        return "stamp"


def test_the_cache_folder_of_a_recipe_of_older_versions_is_found_again():
    recipe = Recipe(Fixed(("a.txt",)), None, None, 0.02, Words(), "line", 64, 2)
    assert recipe.key() == "faf3b7d77111afb4417ea8a3e38e217c"
    assert replace(recipe, longer="leave").key() != recipe.key() != replace(recipe, unit="pair").key()


def test_the_corpus_hash_is_that_of_the_text(recipe, tmp_path):
    text = tmp_path / "text.txt"
    other, same_text = tmp_path / "other.txt", tmp_path / "same.txt"
    same_text.write_bytes(text.read_bytes())
    other.write_text(text.read_text().replace("line 5 ", "line 5  "))  # the same words
    hashes = [
        read_manifest(prepared(replace(recipe, train=TextFiles((str(path),))), tmp_path / "cache"))["corpus"]
        for path in (text, same_text, other)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("name", ["train.tokens.bin", "valid.offsets.bin"])
def test_a_file_cut_short_is_prepared_again(recipe, tmp_path, name):
    folder = prepared(recipe, tmp_path / "cache")
    whole = content(folder)
    os.truncate(folder / name, 4)
    assert read_manifest(folder) is None
    assert content(prepared(recipe, tmp_path / "cache")) == whole


@dataclass(frozen=True)
class Stopping(TextFiles):
    """Text files whose second reading stops with an error after 450 lines, as if the process ended there."""

    readings = 0

    def lines(self) -> Iterator[str]:
        Stopping.readings += 1
        for number, line in enumerate(super().lines()):
            if Stopping.readings == 2 and number == 450:
                raise KeyboardInterrupt
            yield line


def test_a_stopped_preparation_goes_on_where_it_was_and_ends_alike(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "_CHUNK", 100)
    monkeypatch.setattr(prepare, "_SAVE_SECONDS", 0.0)
    whole = content(prepared(recipe, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        prepared(replace(recipe, train=Stopping(recipe.train.paths)), tmp_path / "cache")
    (folder,) = (tmp_path / "cache" / "corpora").iterdir()
    for part in folder.glob("*.part"):  # what was written after the last save
        part.write_bytes(part.read_bytes() + b"garbage!")
    read = []
    chunks = prepare._chunks
    monkeypatch.setattr(
        prepare, "_chunks", lambda *a: (read.append(chunk.read) or chunk for chunk in chunks(*a))
    )
    assert content(prepared(recipe, tmp_path / "cache")) == whole
    assert read == [500, 600, 700, 800, 900]


@pytest.mark.parametrize("longer", ["cut", "leave"])
def test_a_stopped_preparation_of_pairs_goes_on_where_it_was_and_ends_alike(tmp_path, monkeypatch, longer):
    monkeypatch.setattr(prepare, "_CHUNK", 100)
    monkeypatch.setattr(prepare, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(Stopping, "readings", 0)
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"w {'w ' * (n % 11)}\tv {'v ' * (n % 7)}x\n" for n in range(900)))
    recipe = Recipe(TextFiles((str(path),)), None, None, 0.1, Words(), "pair", 8, 2, longer)
    whole = content(prepared(recipe, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        prepared(replace(recipe, train=Stopping(recipe.train.paths)), tmp_path / "cache")
    (folder,) = (tmp_path / "cache" / "corpora").iterdir()
    for part in folder.glob("*.part"):  # what was written after the last save
        part.write_bytes(part.read_bytes() + b"garbage!" * 3)
    assert content(prepared(recipe, tmp_path / "cache")) == whole
    counters = read_manifest(prepared(recipe, tmp_path / "cache"))["splits"]["train"]
    assert counters["short"] > 0 and counters["cut" if longer == "cut" else "long"] > 0
    assert len(whole["train.offsets.bin"]) == 8 * counters["examples"]


def test_two_processes_prepare_one_corpus(recipe, tmp_path):
    script = (
        "from pathlib import Path; from odeembed.data.prepare import *; from odeembed.data.sources import *;"
        "from odeembed.data.vocabulary import *;"
        f"prepared({recipe!r}, Path({str(tmp_path / 'cache')!r}))"
    )
    children = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    (folder,) = (tmp_path / "cache" / "corpora").iterdir()
    assert content(folder) == content(prepared(recipe, tmp_path / "whole"))


def test_the_second_waits_for_the_first(recipe, tmp_path, monkeypatch):
    inside, go_on, said = threading.Event(), threading.Event(), []
    make, made = prepare._make, []

    def slow(*arguments):
        inside.set()
        go_on.wait(30)
        made.append(make(*arguments))

    monkeypatch.setattr(prepare, "_make", slow)
    first = threading.Thread(target=prepared, args=(recipe, tmp_path / "cache"))
    first.start()
    assert inside.wait(30)
    second = threading.Thread(target=prepared, args=(recipe, tmp_path / "cache", said.append))
    second.start()
    while not said:
        time.sleep(0.01)
    go_on.set()
    first.join(30)
    second.join(30)
    assert "waiting for another process" in said[0]
    assert len(made) == 1


def test_kill_9_in_the_middle_loses_nothing(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"line {number} has some words in it\n" for number in range(20_000)))
    recipe = Recipe(TextFiles((str(text),)), None, None, 0.1, Words(), "line", 8, 2)
    script = (
        "from pathlib import Path; from odeembed.data.prepare import *;"
        "from odeembed.data.sources import *; from odeembed.data.vocabulary import *; import sys, time;"
        "prepare = sys.modules['odeembed.data.prepare'];"
        "prepare._SAVE_SECONDS = 0.0; save = prepare._save_progress;"
        "prepare._save_progress = lambda *a: (save(*a), time.sleep(0.3));"
        f"prepared({recipe!r}, Path({str(tmp_path / 'cache')!r}))"
    )
    child = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/corpora/*/progress.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (folder,) = (tmp_path / "cache" / "corpora").iterdir()
    assert read_manifest(folder) is None
    assert content(prepared(recipe, tmp_path / "cache")) == content(prepared(recipe, tmp_path / "whole"))


def test_a_full_disk_names_the_folder_and_the_remedy(recipe, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"the disk is full.*ODEEMBED_CACHE"):
        prepared(recipe, tmp_path / "cache")
    monkeypatch.undo()
    assert read_manifest(prepared(recipe, tmp_path / "cache"))


def test_a_source_whose_lines_are_all_skipped_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("<<< 1 >>>\n")
    source = TextFiles((str(tmp_path / "a.txt"),), skip="^<<<")
    with pytest.raises(DataError, match="holds no lines"):
        prepared(Recipe(source, None, None, 0.1, Words(), "line", 8, 2), tmp_path / "cache")
