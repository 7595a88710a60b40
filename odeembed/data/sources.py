"""Where text comes from: files, installed documentation, TensorFlow Datasets, a grammar; each yields lines.

Pairs of texts are lines too: source, tab, target.
"""

import gzip
import hashlib
import importlib.util
import io
import json
import lzma
import os
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from odeembed.data import docstrings
from odeembed.data.grammar import GrammarWorld
from odeembed.errors import ConfigError, DataError, MissingFileError

TAB = "\t"  # between the two halves of a pair
_SUFFIXES = (".txt", ".gz", ".xz")
_SCAN = re.compile(r"IN: (\S.*?) OUT: (\S.*)")
_LONGEST_READ = (
    1 << 20
)  # bytes; a file without line ends (text8) would otherwise be one line that fills the memory

# What a damaged gzip or xz file raises when it is unpacked.
UNPACKING = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True)
class TextFiles:
    """Text files, one example source after the other, in the order given.

    Attributes:
      paths: `.txt`, `.gz` or `.xz` files (by name; other names are read as plain text), folders (their text files in
        the order of their names), or "-" for standard input. A relative path is tried as given, then under
        $ODEEMBED_DATA.
      skip: regular expression; lines in which it is found are left out, e.g. r"^<<<" for document markers.
    """

    paths: tuple[str, ...] = ()
    skip: str | None = None

    def lines(self) -> Iterator[str]:
        """Yields the lines without their line ends; blank lines too.

        Raises:
          MissingFileError: a path is nowhere to be found.
          DataError: a file is empty, not UTF-8, or damaged.
        """
        skipped = compiled(self.skip).search if self.skip is not None else None
        for path in self.files():
            for line in read_lines(path):
                if skipped is None or not skipped(line):
                    yield line

    def files(self) -> list[Path]:
        """The files in reading order, folders opened and relative paths found."""
        return _found(self.paths, "TextFiles.paths", "at least one file, folder or '-'")

    def stamp(self) -> str:
        """Changes whenever the text may have changed; costs no reading."""
        return _sha256([_file_facts(self.files()), self.skip])


@dataclass(frozen=True)
class InstalledDocs:
    """The corpus every install carries: about a million words of English about Python and the installed packages.

    It is made of `pydoc_data.topics` and of the docstrings of modules, classes and functions, read with `ast`: nothing
    is imported or run. Identical paragraphs are kept once. The text depends on the versions installed.

    Attributes:
      packages: import names, in reading order; "python" stands for the standard library. Those not installed are
        passed over.
    """

    packages: tuple[str, ...] = (
        "python",
        "numpy",
        "scipy",
        "jax",
        "flax",
        "optax",
        "diffrax",
        "equinox",
        "optimistix",
        "lineax",
        "orbax",
        "matplotlib",
        "rich",
        "tensorflow_datasets",
        "jaxtyping",
        "tyro",
        "PIL",
        "etils",
        "einops",
    )

    def lines(self) -> Iterator[str]:
        """Yields paragraphs of running English, each on one line."""
        return docstrings.documentation(self.roots())

    def roots(self) -> list[Path]:
        """The folders that are read: the standard library's and those of the installed packages."""
        return [root for name in self.packages for root in _package_folders(name)]

    def stamp(self) -> str:
        """Changes with the names and sizes of the Python files read, and with the code that reads them."""
        facts = [
            (str(file), file.stat().st_size)
            for root in self.roots()
            for file in docstrings.python_files(root)
        ]
        return _sha256([facts, sys.version, Path(docstrings.__file__).read_text("utf-8")])


@dataclass(frozen=True)
class TfdsText:
    """One text feature of a prepared TensorFlow Dataset, read as a random-access source, without TensorFlow.

    Attributes:
      name: the dataset, e.g. "tiny_shakespeare" or "para_crawl/ende:1.2.0".
      split: "train", "train[:90%]", ...
      feature: the feature's path, e.g. "text" or "translation/en".
      data_dir: the folder that holds it; relative ones are tried under $ODEEMBED_DATA too. None: tfds/ there, else
        TFDS's own.
    """

    name: str = ""
    split: str = "train"
    feature: str = "text"
    data_dir: str | None = None

    def lines(self) -> Iterator[str]:
        """Yields the lines of every example, in the dataset's order.

        Raises:
          MissingFileError: the dataset is not prepared in `data_dir`.
          DataError: no such split or feature, or features of classes outside TensorFlow Datasets.
        """
        for example in _examples(self.name, self.split, self.data_dir):
            yield from _text_at(example, "feature", self.feature).splitlines()

    def stamp(self) -> str:
        """Changes with the sizes of the prepared files."""
        return _sha256([_prepared_facts(self.name, self.data_dir), self.split, self.feature])


@dataclass(frozen=True)
class PairFiles:
    """Pairs of texts in line-aligned files: line i of a source file belongs to line i of its target file.

    Attributes:
      source: files or folders, found and read as those of `TextFiles`, but not "-".
      target: as many files, in the same order.
    """

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yields source, tab, target; tabs inside a text become spaces.

        Raises:
          MissingFileError: a path is nowhere to be found.
          DataError: two files have different numbers of lines, or one is empty, not UTF-8, or damaged.
        """
        sources, targets = self.files()
        for files in zip(sources, targets, strict=True):
            for source, target in aligned_lines(*files):
                yield pair_line(source, target)

    def files(self) -> tuple[list[Path], list[Path]]:
        """The files of both sides in reading order.

        Raises:
          ConfigError: a side has no file, or one has more than the other.
        """
        sources = _found(self.source, "PairFiles.source", "at least one file or folder")
        targets = _found(self.target, "PairFiles.target", "at least one file or folder")
        if len(sources) != len(targets):
            raise ConfigError(
                f"PairFiles.source has {len(sources)} files and PairFiles.target {len(targets)}; expected as many. "
                f"Name both sides' files in the same order."
            )
        return sources, targets

    def stamp(self) -> str:
        """Changes whenever a text may have changed; costs no reading."""
        return _sha256(["pairs", *map(_file_facts, self.files())])


@dataclass(frozen=True)
class Scan:
    """Pairs of command and actions in files of SCAN's form, "IN: jump twice OUT: I_JUMP I_JUMP" a line.

    Attributes:
      paths: files or folders, found and read as those of `TextFiles`, but not "-".

    References:
      Lake and Baroni 2018, Generalization without Systematicity.
    """

    paths: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yields command, tab, actions; tabs inside a text become spaces.

        Raises:
          MissingFileError: a path is nowhere to be found.
          DataError: a line of another form; a file that is empty, not UTF-8, or damaged.
        """
        for path in self.files():
            for number, line in enumerate(read_lines(path), 1):
                found = _SCAN.fullmatch(line)
                if found is None:
                    raise DataError(
                        f"{path}, line {number}: {shown(line)}; expected 'IN: command OUT: actions'. Mend the line, "
                        f"or read the file with TextFiles."
                    )
                yield pair_line(*found.groups())

    def files(self) -> list[Path]:
        """The files in reading order, folders opened and relative paths found."""
        return _found(self.paths, "Scan.paths", "at least one file or folder")

    def stamp(self) -> str:
        """Changes whenever the text may have changed; costs no reading."""
        return _sha256(["scan", _file_facts(self.files())])


@dataclass(frozen=True)
class TfdsPairs:
    """Two text features of a prepared TensorFlow Dataset, read as `TfdsText` reads one.

    Attributes:
      name: the dataset, e.g. "para_crawl/ende:1.2.0".
      split: "train", "train[:90%]", ...
      source: path of the feature that is given, e.g. "en" or "translation/en".
      target: path of the feature that is to be written.
      data_dir: the folder that holds it; relative ones are tried under $ODEEMBED_DATA too. None: tfds/ there, else
        TFDS's own.
    """

    name: str = ""
    split: str = "train"
    source: str = "translation/en"
    target: str = "translation/de"
    data_dir: str | None = None

    def lines(self) -> Iterator[str]:
        """Yields source, tab, target of every example; tabs and line ends inside a text become spaces.

        Raises:
          MissingFileError: the dataset is not prepared in `data_dir`.
          DataError: no such split or feature, or features of classes outside TensorFlow Datasets.
        """
        for example in _examples(self.name, self.split, self.data_dir):
            source = _text_at(example, "source", self.source)
            target = _text_at(example, "target", self.target)
            yield pair_line(*(" ".join(text.splitlines()) for text in (source, target)))

    def stamp(self) -> str:
        """Changes with the sizes of the prepared files."""
        return _sha256([_prepared_facts(self.name, self.data_dir), self.split, self.source, self.target])


Source = TextFiles | InstalledDocs | TfdsText | GrammarWorld | PairFiles | Scan | TfdsPairs


def locate(path: str) -> Path:
    """Finds a path as given or under $ODEEMBED_DATA.

    Raises:
      MissingFileError: it is in neither place; the text lists the places.
    """
    tried = [Path(path).expanduser()]
    folder = os.environ.get("ODEEMBED_DATA")
    if folder and not tried[0].is_absolute():
        tried.append(Path(folder) / path)
    for candidate in tried:
        if candidate.exists():
            return candidate
    places = ", ".join(str(candidate.absolute()) for candidate in tried)
    hint = (
        "Correct the path"
        if folder
        else "Correct the path, or set ODEEMBED_DATA to the folder it is relative to"
    )
    raise MissingFileError(f"no such file or folder: {path!r}; tried {places}. {hint}.")


def prepared_root(name: str, data_dir: str | None) -> str | None:
    """The folder of prepared datasets that holds `name`; None: TFDS's own.

    Args:
      data_dir: as given or under $ODEEMBED_DATA. None: tfds/ under $ODEEMBED_DATA where the dataset is there.

    Raises:
      MissingFileError: there is no such `data_dir`.
    """
    if data_dir is not None:
        return str(locate(data_dir))
    folder = os.environ.get("ODEEMBED_DATA")
    usual = Path(folder or "") / "tfds"
    return str(usual) if folder and (usual / name.partition(":")[0]).is_dir() else None


def read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of one UTF-8 file, unpacked by its name, without line ends or a byte order mark.

    Raises:
      DataError: nothing but white space, a byte that is not UTF-8 (named by its offset in the unpacked file), or a
        damaged archive.
    """
    offset, filled = 0, False
    try:
        with _opened(path) as stream:
            for raw in _raw_lines(stream):
                line = _decoded(raw, path, offset)
                offset += len(raw)
                filled = filled or not line.isspace()
                yield line.rstrip("\r\n")
    except UNPACKING as error:
        raise DataError(
            f"{path} cannot be unpacked ({error}); expected a whole {path.suffix} file. Fetch it again."
        ) from None
    if not filled:
        raise DataError(f"{path} is empty; expected UTF-8 text. Give another file, or leave this one out.")


def aligned_lines(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """Yields the lines of two files side by side; raises as `read_lines` does.

    Raises:
      DataError: one has more lines than the other.
    """
    for one, other in zip_longest(read_lines(source), read_lines(target)):
        if one is None or other is None:
            counts = [sum(1 for _ in read_lines(path)) for path in (source, target)]
            raise DataError(
                f"{source} and {target} have different numbers of lines, {counts[0]} and {counts[1]}; expected pairs. "
                f"Give files whose lines belong together."
            )
        yield one, other


def pair_line(source: str, target: str) -> str:
    """A pair as one line, source, tab, target; tabs inside a text become spaces."""
    return TAB.join(text.replace(TAB, " ") for text in (source, target))


def shown(line: str) -> str:
    """The beginning of a line, quoted, for an error message."""
    return repr(line if len(line) <= 60 else f"{line[:57]}...")


def spool(root: Path) -> Path:
    """Copies standard input into a file under `root`, named by its content, once a process.

    Raises:
      DataError: standard input is empty.
    """
    return _spooled(str(root))


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression of the user's.

    Raises:
      ConfigError: it is not a valid regular expression.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"{pattern!r} is not a regular expression: {error}. Mend it, or escape special characters."
        ) from None


@lru_cache
def _spooled(root: str) -> Path:
    Path(root).mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=root, prefix="stdin-", delete=False) as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    with open(copy.name, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not os.path.getsize(copy.name):
        os.remove(copy.name)
        raise DataError("standard input ('-') is empty; expected UTF-8 text. Pipe text in, or name a file.")
    path = Path(root) / f"stdin-{digest[:32]}.txt"
    if path.exists():
        os.remove(copy.name)  # keeps the first copy's time of change, and so the corpus prepared from it
    else:
        os.replace(copy.name, path)
    return path


def _found(paths: tuple[str, ...], setting: str, expected: str) -> list[Path]:
    """The files that a setting names, folders opened and relative paths found."""
    if not paths:
        raise ConfigError(f"{setting} is empty; expected {expected}. Name one.")
    return [file for path in paths for file in _files_under(locate(path))]


def _file_facts(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """What tells whether the text of files may have changed."""
    return [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def _files_under(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix in _SUFFIXES)
    if not files:
        raise DataError(
            f"folder {path} holds no text; expected {', '.join(_SUFFIXES)} files. Name another folder."
        )
    return files


def _opened(path: Path) -> io.BufferedIOBase:
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path), _LONGEST_READ)
    if path.suffix == ".xz":
        return io.BufferedReader(lzma.open(path), _LONGEST_READ)
    return open(path, "rb")


def _raw_lines(stream: io.BufferedIOBase) -> Iterator[bytes]:
    """Lines with their ends; one longer than _LONGEST_READ is cut after its last space."""
    rest = b""
    while found := stream.readline(_LONGEST_READ):
        piece, rest = rest + found, b""
        too_long = len(found) == _LONGEST_READ and not found.endswith(b"\n")
        if too_long and (cut := piece.rfind(b" ") + 1):
            piece, rest = piece[:cut], piece[cut:]
        yield piece
    if rest:
        yield rest


def _decoded(raw: bytes, path: Path, offset: int) -> str:
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at, byte = offset + error.start, raw[error.start]
        raise DataError(
            f"{path} is not UTF-8: byte 0x{byte:02x} at offset {at}; expected UTF-8 text. "
            f"Convert it, e.g. iconv -f latin1 -t utf-8."
        ) from None
    return line.removeprefix("\ufeff") if offset == 0 else line


def _package_folders(name: str) -> list[Path]:
    if name == "python":
        return [Path(os.__file__).parent]
    spec = importlib.util.find_spec(name)
    return [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []


def _examples(name: str, split: str, data_dir: str | None) -> Sequence[dict[str, Any]]:
    """The examples of a prepared dataset; the folder is found as files are."""
    from odeembed.data.builders import open_prepared

    return open_prepared(name, split, prepared_root(name, data_dir))


def _prepared_facts(name: str, data_dir: str | None) -> list[tuple[str, int]]:
    from odeembed.data.builders import prepared_files

    return [(str(file), file.stat().st_size) for file in prepared_files(name, prepared_root(name, data_dir))]


def _text_at(example: object, setting: str, feature: str) -> str:
    """The text of a feature, which `setting` names."""
    for key in feature.split("/"):
        if not isinstance(example, dict) or key not in example:
            known = ", ".join(example) if isinstance(example, dict) else type(example).__name__
            raise DataError(
                f"no feature {feature!r} in the dataset; it has: {known}. Set `{setting}` to a text feature."
            )
        example = example[key]
    if not isinstance(example, bytes | str):
        raise DataError(
            f"feature {feature!r} is {type(example).__name__}; expected text. Set `{setting}` to a text feature."
        )
    return example.decode("utf-8") if isinstance(example, bytes) else example


def _sha256(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
