"""Word vectors in the files that other tools open; every file is read back and compared before it takes its name."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from odeembed.errors import ConfigError, DataError, MissingFileError, OdeembedError, RunError
from odeembed.evaluate.vectors import WordVectors

Format = Literal["word2vec", "word2vec-binary", "safetensors", "projector"]
_SUFFIX = {"word2vec": ".txt", "word2vec-binary": ".bin", "safetensors": ".safetensors", "projector": ""}
_EMPTY = "\\u"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
      path: the file, or the folder of the projector.
      words: how many vectors it holds.
      escaped: how many words hold white space, are empty or look like an escape, and were written as `escape` does.
    """

    path: Path
    words: int
    escaped: int


class Table(NamedTuple):
    """Words and their vectors, float32 [v, d], as read from a file."""

    words: tuple[str, ...]
    matrix: np.ndarray


def export(vectors: WordVectors, path: Path | str, form: str = "word2vec") -> Exported:
    """Writes vectors as word2vec text or binary, safetensors, or a folder for TensorBoard's projector.

    Args:
      path: file to write; the suffix of the format is added where it has none.

    Raises:
      ConfigError: an unknown format; DataError: vectors that are not finite, or a file that reads back differently.
      RunError: safetensors asked for and not installed.
    """
    write, back = _of(form)
    path = Path(path) if Path(path).suffix or not _SUFFIX[form] else Path(path).with_suffix(_SUFFIX[form])
    matrix = np.ascontiguousarray(vectors.matrix, dtype=np.float32)  # huggingface/safetensors#825
    if not np.isfinite(matrix).all():
        raise DataError(
            "vectors must be finite to be exported; got NaN or infinity. Export another checkpoint."
        )
    with _renamed(path) as unfinished:
        write(unfinished, vectors, matrix)
        _compare(back(unfinished), vectors.words, matrix, path)
    return Exported(path, len(vectors.words), sum(escape(word) != word for word in vectors.words))


def read(path: Path | str, form: str = "word2vec") -> Table:
    """Reads what `export` writes, or somebody else's file of that format: nothing in it is run.

    Raises:
      ConfigError: an unknown format; MissingFileError: nothing there; DataError: not of that format, or damaged.
      RunError: safetensors asked for and not installed.
    """
    back = _of(form)[1]
    if not Path(path).exists():
        raise MissingFileError(f"no vectors: {path} is missing. Name a file that odeembed export wrote.")
    try:
        table = back(Path(path))
        if table.matrix.ndim != 2 or len(table.words) != len(table.matrix):
            raise ValueError(f"{len(table.words)} words and vectors of shape {table.matrix.shape}")
        if not all(isinstance(word, str) for word in table.words):
            raise ValueError("words that are no text")
    except OdeembedError:
        raise
    except Exception as error:  # NumPy, safetensors and Python have many kinds for a damaged file
        cause = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path} is no file of {form} vectors, or damaged: {cause}. Export it again."
        ) from error
    return table


def _of(form: str) -> tuple[Callable[[Path, WordVectors, np.ndarray], None], Callable[[Path], Table]]:
    if form not in get_args(Format):
        raise ConfigError(f"unknown format {form!r}. Use one of {', '.join(get_args(Format))}.")
    return _WRITERS[form]


def escape(word: str) -> str:
    r"""A spelling without white space: " " becomes \u0020, the empty word \u; ordinary words stay as they are.

    A word with a space or newline would shift every later field of a word2vec file (gensim#2795).
    """
    if word and "\\u" not in word and not any(map(str.isspace, word)):
        return word
    return "".join(f"\\u{ord(c):04x}" if c.isspace() or c == "\\" else c for c in word) or _EMPTY


def unescape(word: str) -> str:
    """The inverse of `escape`."""
    return "" if word == _EMPTY else re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), word)


def read_word2vec(path: Path | str) -> Table:
    """Reads the text format: a line `v d`, then lines `word x1 ... xd`.

    Raises:
      DataError: a line with another number of fields, or another number of lines than the first one says.
    """
    with open(path, encoding="utf-8", newline="\n") as lines:
        v, d = _sizes(next(lines), 2, Path(path).stat().st_size)
        words, matrix = [], np.zeros((v, d), np.float32)
        for row, line in enumerate(lines):
            word, *numbers = line.rstrip("\n").split(" ")
            if row >= v or len(numbers) != d:
                raise DataError(
                    f"{path}, line {row + 2}: expected {v} words of {d} numbers. Export it again."
                )
            words.append(unescape(word))
            matrix[row] = numbers
    if len(words) != v:
        raise DataError(f"{path}: expected {v} words; got {len(words)}. Export it again.")
    return Table(tuple(words), matrix)


def _sizes(line: str, least: int, size: int) -> tuple[int, int]:
    """What the first line says, before memory is taken for it: each number takes so many bytes of the file at least."""
    v, d = map(int, line.split())
    if v < 0 or d < 0 or v * d * least > size:
        raise DataError(
            f"a first line of {v} words of {d} numbers in a file of {size} bytes. Export it again."
        )
    return v, d


def read_word2vec_binary(path: Path | str) -> Table:
    """Reads the binary format: a line `v d`, then for each word its UTF-8, a space and d little-endian float32."""
    data = Path(path).read_bytes()
    place = data.index(b"\n") + 1
    v, d = _sizes(data[:place].decode(), 4, len(data))
    words, matrix = [], np.zeros((v, d), np.float32)
    for row in range(v):
        space = data.index(b" ", place)
        words.append(unescape(data[place:space].decode()))
        matrix[row] = np.frombuffer(data, "<f4", d, space + 1)
        place = space + 1 + 4 * d
    return Table(tuple(words), matrix)


def read_safetensors(path: Path | str) -> Table:
    """Reads the tensor `embedding` and the words, a JSON list in the file's metadata."""
    with _safetensors().safe_open(path, framework="numpy") as file:
        return Table(tuple(json.loads(file.metadata()["words"])), file.get_tensor("embedding"))


def read_projector(folder: Path | str) -> Table:
    """Reads a projector's tensors.tsv and metadata.tsv."""
    matrix = np.loadtxt(Path(folder) / "tensors.tsv", np.float32, delimiter="\t", ndmin=2)
    lines = (Path(folder) / "metadata.tsv").read_text(encoding="utf-8").split("\n")[1:-1]
    return Table(tuple(unescape(line.split("\t")[0]) for line in lines), matrix)


def _write_word2vec(path: Path, vectors: WordVectors, matrix: np.ndarray) -> None:
    numbers = " ".join(["%.9g"] * matrix.shape[1])  # nine digits give every float32 back
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{matrix.shape[0]} {matrix.shape[1]}\n")
        for word, row in zip(vectors.words, matrix, strict=True):
            file.write(f"{escape(word)} {numbers % tuple(row)}\n")


def _write_word2vec_binary(path: Path, vectors: WordVectors, matrix: np.ndarray) -> None:
    with open(path, "wb") as file:
        file.write(f"{matrix.shape[0]} {matrix.shape[1]}\n".encode())
        for word, row in zip(vectors.words, matrix.astype("<f4"), strict=True):
            file.write(escape(word).encode() + b" " + row.tobytes())


def _write_safetensors(path: Path, vectors: WordVectors, matrix: np.ndarray) -> None:
    from_numpy = _safetensors().numpy.save_file
    counts = np.ascontiguousarray(vectors.counts, dtype=np.int64)
    from_numpy({"embedding": matrix, "counts": counts}, path, {"words": json.dumps(vectors.words)})


def _write_projector(folder: Path, vectors: WordVectors, matrix: np.ndarray) -> None:
    folder.mkdir()
    np.savetxt(folder / "tensors.tsv", matrix, "%.9g", delimiter="\t")
    lines = [f"{escape(word)}\t{count}\n" for word, count in zip(vectors.words, vectors.counts, strict=True)]
    (folder / "metadata.tsv").write_text("word\tcount\n" + "".join(lines), encoding="utf-8")
    config = 'embeddings {\n  tensor_path: "tensors.tsv"\n  metadata_path: "metadata.tsv"\n}\n'
    (folder / "projector_config.pbtxt").write_text(config)


_WRITERS: dict[str, tuple[Callable[[Path, WordVectors, np.ndarray], None], Callable[[Path], Table]]] = {
    "word2vec": (_write_word2vec, read_word2vec),
    "word2vec-binary": (_write_word2vec_binary, read_word2vec_binary),
    "safetensors": (_write_safetensors, read_safetensors),
    "projector": (_write_projector, read_projector),
}


def _safetensors():
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise RunError(
            "the format safetensors needs the package safetensors, which is not installed. "
            "Install odeembed[export], or use --format word2vec."
        ) from error
    return safetensors


def _compare(table: Table, words: tuple[str, ...], matrix: np.ndarray, path: Path) -> None:
    if table.words != words or not np.array_equal(table.matrix, matrix):
        raise DataError(
            f"{path} reads back differently from what was written. Is the disk sound? Export it again."
        )


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    """Gives a path to write to, which takes the place of `path` when all went well and vanishes when not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    _remove(unfinished)
    try:
        yield unfinished
        if unfinished.is_dir():
            _remove(path)
        unfinished.replace(path)
    finally:
        _remove(unfinished)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
