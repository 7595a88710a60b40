"""Sources: files of every kind, pairs, installed documentation, TFDS; and what bad input gets."""

import gzip
import io
import lzma
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from odeembed.data import sources
from odeembed.data.sources import (
    InstalledDocs,
    PairFiles,
    Scan,
    TextFiles,
    TfdsPairs,
    TfdsText,
    locate,
    spool,
)
from odeembed.errors import ConfigError, DataError, MissingFileError


def write(path: Path, content: bytes) -> str:
    opened = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opened(path, "wb") as file:
        file.write(content)
    return str(path)


def test_reads_plain_gzip_and_xz_alike(tmp_path):
    content = "first\n\nzweite Größe\r\nthird".encode()
    paths = tuple(write(tmp_path / f"a{suffix}", content) for suffix in (".txt", ".txt.gz", ".xz"))
    assert list(TextFiles(paths).lines()) == ["first", "", "zweite Größe", "third"] * 3


def test_reads_a_folder_in_the_order_of_names_and_skips_marked_lines(tmp_path):
    write(tmp_path / "b.txt.gz", b"two\n<<< marker >>>\nthree\n")
    write(tmp_path / "a.txt", b"one\n")
    write(tmp_path / "c.json", b"not text")
    assert list(TextFiles((str(tmp_path),), skip=r"^<<<").lines()) == ["one", "two", "three"]


def test_a_byte_order_mark_is_no_text(tmp_path):
    assert list(TextFiles((write(tmp_path / "a.txt", "\ufeffone\n".encode()),)).lines()) == ["one"]


def test_relative_paths_are_found_under_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ODEEMBED_DATA", str(tmp_path))
    write(tmp_path / "a.txt", b"one\n")
    assert locate("a.txt") == tmp_path / "a.txt"


def test_a_missing_file_names_the_places_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("ODEEMBED_DATA", str(tmp_path))
    with pytest.raises(MissingFileError) as caught:
        list(TextFiles(("no/such.txt",)).lines())
    assert str(tmp_path / "no/such.txt") in str(caught.value)
    assert str(Path("no/such.txt").absolute()) in str(caught.value)
    monkeypatch.delenv("ODEEMBED_DATA")
    with pytest.raises(FileNotFoundError, match="set ODEEMBED_DATA"):
        locate("no/such.txt")


@pytest.mark.parametrize("content", [b"", b"\n \n\n"])
def test_an_empty_file_is_named(tmp_path, content):
    path = write(tmp_path / "void.txt", content)
    with pytest.raises(DataError, match=r"void\.txt is empty"):
        list(TextFiles((path,)).lines())


def test_gzip_whose_codes_are_damaged_is_an_error_of_the_project(tmp_path):
    data = bytearray(gzip.compress(b"one two three\n" * 30))
    data[10] = 0b111  # a block of a kind that does not exist
    path = tmp_path / "a.gz"
    path.write_bytes(data)  # packed already
    with pytest.raises(DataError, match=r"a\.gz cannot be unpacked \(Error -3.*; expected a whole \.gz file"):
        list(TextFiles((str(path),)).lines())


@pytest.mark.parametrize("suffix", [".txt", ".gz"])
def test_text_that_is_not_utf8_names_the_byte(tmp_path, suffix):
    path = write(tmp_path / f"latin{suffix}", "good line\nGröße\n".encode("latin1"))
    with pytest.raises(DataError, match="byte 0xf6 at offset 12"):
        list(TextFiles((path,)).lines())


def test_a_damaged_archive_is_named(tmp_path):
    for suffix in (".gz", ".xz"):
        path = Path(write(tmp_path / f"a{suffix}", b"text " * 1000))
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DataError, match="cannot be unpacked"):
            list(TextFiles((str(path),)).lines())


def test_a_line_longer_than_a_read_is_cut_at_spaces_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_LONGEST_READ", 16)
    text = " ".join(f"wörd{number}" for number in range(50))
    lines = list(TextFiles((write(tmp_path / "a.txt", text.encode()),)).lines())
    assert len(lines) > 20
    assert " ".join(lines).split() == text.split()


def test_a_last_line_without_an_end_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("one two\nthree four")
    assert list(TextFiles((str(tmp_path / "a.txt"),)).lines()) == ["one two", "three four"]
    monkeypatch.setattr(sources, "_LONGEST_READ", 8)
    (tmp_path / "a.txt").write_text("one two three four")
    assert list(TextFiles((str(tmp_path / "a.txt"),)).lines()) == ["one two ", "three ", "four"]


def test_no_path_and_a_bad_pattern_are_config_errors(tmp_path):
    with pytest.raises(ConfigError, match="paths is empty"):
        list(TextFiles().lines())
    with pytest.raises(ConfigError, match="not a regular expression"):
        list(TextFiles((write(tmp_path / "a.txt", b"x\n"),), skip="(").lines())


def test_the_stamp_changes_with_the_text(tmp_path):
    path = write(tmp_path / "a.txt", b"one\n")
    before = TextFiles((path,)).stamp()
    assert TextFiles((path,)).stamp() == before
    write(tmp_path / "a.txt", b"other\n")
    assert TextFiles((path,)).stamp() != before
    assert TextFiles((path,), skip="x").stamp() != TextFiles((path,)).stamp()


def test_standard_input_is_copied_once_and_named_by_its_content(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"from a pipe\n")))
    path = spool(tmp_path)
    assert spool(tmp_path) == path  # the pipe is empty by now
    assert path.read_bytes() == b"from a pipe\n"
    assert list(tmp_path.iterdir()) == [path]


def test_empty_standard_input_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    with pytest.raises(DataError, match="standard input"):
        spool(tmp_path)
    assert not list(tmp_path.iterdir())


def test_installed_documentation_is_read_and_never_run(tmp_path, monkeypatch):
    package = tmp_path / "never_imported"
    package.mkdir()
    (package / "__init__.py").write_text(
        '"""The module explains what a row is in a table."""\nraise SystemExit("it was run")\n'
    )
    (package / "broken.py").write_text('"""No Python can read this of all the files."""\n1 +\n')
    (package / "more.py").write_text(
        'def f():\n    """The module explains what a row is in a table."""\n\n'
        'class A:\n    """A column is the other way to cut a table."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    docs = InstalledDocs(("never_imported", "not_installed_anywhere"))
    assert list(docs.lines()) == [
        "The module explains what a row is in a table.",
        "A column is the other way to cut a table.",
    ]
    assert "never_imported" not in sys.modules


def test_aligned_files_are_pairs(tmp_path, monkeypatch):
    monkeypatch.setenv("ODEEMBED_DATA", str(tmp_path))
    write(tmp_path / "a.en.gz", b"one\nt\two\n\n")
    write(tmp_path / "a.de", "\ufeffeins\r\nzwei\ndrei\tvier".encode())
    write(tmp_path / "b.en", b"five\n")
    write(tmp_path / "b.de.xz", "fünf\n".encode())
    pairs = PairFiles(("a.en.gz", "b.en"), ("a.de", "b.de.xz"))
    assert list(pairs.lines()) == ["one\teins", "t wo\tzwei", "\tdrei vier", "five\tfünf"]


@pytest.mark.parametrize(("english", "german"), [(3, 2), (1, 4), (5000, 4999)])
def test_files_of_different_numbers_of_lines_are_named_with_both_numbers(tmp_path, english, german):
    source = write(tmp_path / "a.en", b"one\n" * english)
    target = write(tmp_path / "a.de.gz", b"eins\n" * german)
    with pytest.raises(DataError, match=rf"a\.en and .*a\.de\.gz have .*, {english} and {german};"):
        list(PairFiles((source,), (target,)).lines())


def test_a_side_without_files_or_with_more_than_the_other_is_a_config_error(tmp_path):
    a, b = write(tmp_path / "a", b"x\n"), write(tmp_path / "b", b"x\n")
    with pytest.raises(ConfigError, match=r"PairFiles\.target is empty"):
        list(PairFiles((a,)).lines())
    with pytest.raises(ConfigError, match=r"PairFiles\.source has 2 files and PairFiles\.target 1"):
        list(PairFiles((a, b), (a,)).lines())
    with pytest.raises(MissingFileError, match=r"nowhere\.de"):
        list(PairFiles((a,), ("nowhere.de",)).lines())
    with pytest.raises(DataError, match=r"void is empty"):
        list(PairFiles((a,), (write(tmp_path / "void", b""),)).lines())


def test_scan_lines_are_pairs(tmp_path):
    path = write(tmp_path / "tasks.txt.gz", b"IN: jump twice OUT: I_JUMP I_JUMP\nIN: look OUT: I_LOOK\r\n")
    assert list(Scan((path,)).lines()) == ["jump twice\tI_JUMP I_JUMP", "look\tI_LOOK"]
    tabbed = write(tmp_path / "tabs.txt", b"IN: a\tb OUT: c\td\n")
    assert list(Scan((tabbed,)).lines()) == ["a b\tc d"]


@pytest.mark.parametrize(
    "line", ["jump OUT: I_JUMP", "IN: jump", "IN: jump OUT: ", "IN:  OUT: I_JUMP", "", "IN: a OUT:b"]
)
def test_a_line_that_is_not_of_scan_is_named_by_file_and_number(tmp_path, line):
    path = write(tmp_path / "tasks.txt", f"IN: look OUT: I_LOOK\n{line}\nIN: a OUT: b\n".encode())
    with pytest.raises(DataError, match=r"tasks\.txt, line 2: .*expected 'IN: command OUT: actions'"):
        list(Scan((path,)).lines())


def test_a_long_line_is_shown_in_part(tmp_path):
    with pytest.raises(DataError) as caught:
        list(Scan((write(tmp_path / "a.txt", b"word " * 1000),)).lines())
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
    with pytest.raises(ConfigError, match=r"Scan\.paths is empty"):
        list(Scan().lines())


def test_the_stamps_of_pairs_change_with_either_side_and_are_no_other_sources(tmp_path):
    source, target = write(tmp_path / "a.en", b"one\n"), write(tmp_path / "a.de", b"eins\n")
    pairs = PairFiles((source,), (target,))
    before = pairs.stamp()
    kinds = [
        pairs,
        PairFiles((target,), (source,)),
        TextFiles((source,)),
        Scan((source,)),
        TextFiles((source, target)),
    ]
    assert len({kind.stamp() for kind in kinds}) == len(kinds)
    write(tmp_path / "a.de", b"uno dos\n")
    assert pairs.stamp() != before


def test_two_features_of_a_dataset_are_pairs(tmp_path):
    pytest.importorskip("array_record")
    from odeembed.data.builders import write_parallel_text

    write(tmp_path / "en", "one\nt\two\u2028more\n".encode())
    write(tmp_path / "de", b"eins\n zwei\n")
    folder = str(tmp_path / "tfds")
    write_parallel_text(
        "pairs_here", ("en", "de"), {"train": (tmp_path / "en", tmp_path / "de")}, tmp_path / "tfds"
    )
    pairs = TfdsPairs("pairs_here", source="en", target="de", data_dir=folder)
    assert list(pairs.lines()) == ["one\teins", "t wo more\t zwei"]
    swapped = TfdsPairs("pairs_here", source="de", target="en", data_dir=folder)
    assert next(swapped.lines()) == "eins\tone"
    text = TfdsText("pairs_here", feature="en", data_dir=folder)
    assert len({source.stamp() for source in (pairs, swapped, text)}) == 3
    with pytest.raises(DataError, match=r"no feature 'translation/en'.*it has: .*Set `source`"):
        next(TfdsPairs("pairs_here", data_dir=folder).lines())
    with pytest.raises(DataError, match="Set `target`"):
        next(TfdsPairs("pairs_here", source="en", target="fr", data_dir=folder).lines())
    with pytest.raises(DataError, match="no split 'dev'"):
        next(TfdsPairs("pairs_here", "dev", "en", "de", folder).lines())


def test_the_language_reference_is_part_of_the_documentation():
    first = next(line for line in InstalledDocs(("pydoc_data",)).lines() if "assert" in line.lower())
    assert first.startswith("Assert statements")


def test_tfds_text_equals_the_file_it_was_made_from(corpora):
    pytest.importorskip("array_record")
    read = [
        line
        for split in ("train", "validation", "test")
        for line in TfdsText("tiny_shakespeare", split, data_dir="tfds").lines()
    ]
    text = (corpora / "tiny_shakespeare" / "input.txt").read_text("utf-8")
    assert "".join(read) == text.replace("\n", "")


def test_tfds_text_names_the_features_there_are(corpora):
    pytest.importorskip("array_record")
    with pytest.raises(DataError, match="it has: text"):
        list(TfdsText("tiny_shakespeare", feature="sentence", data_dir="tfds").lines())
    with pytest.raises(DataError, match="expected text"):
        list(TfdsText("mnist", split="test[:1]", feature="label", data_dir="tfds").lines())
