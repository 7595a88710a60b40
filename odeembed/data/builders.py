"""TensorFlow Datasets without TensorFlow: writes text lines, parallel text and images, reads what is prepared."""

import gzip
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import new_class
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Shaped

from odeembed.data.sources import aligned_lines, read_lines
from odeembed.errors import ConfigError, DataError, MissingFileError

_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*(?:/[A-Za-z0-9_][\w.-]*)?(?::\d+\.\d+\.\d+)?")
_FEATURE_CLASSES = "tensorflow_datasets.core.features."
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MNIST_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def write_text_lines(
    name: str, splits: Mapping[str, Sequence[Path]], data_dir: Path, version: str = "1.0.0"
) -> Path:
    """Writes a dataset of lines, feature "text", in their order; blank lines are left out.

    Args:
      name: the dataset's name in lower case, e.g. "my_corpus".
      splits: for each split its files: UTF-8 text, plain, .gz or .xz.
      data_dir: the TFDS folder to write to; the dataset gets its own in it.
      version: three numbers.

    Returns:
      The folder written; `tfds.data_source(name, data_dir=data_dir)` and `TfdsText` read it.

    Raises:
      DataError: a file is empty or not UTF-8.
    """
    features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
    return _write(
        name, version, features, {split: _text_examples(files) for split, files in splits.items()}, data_dir
    )


def write_parallel_text(
    name: str,
    languages: tuple[str, str],
    splits: Mapping[str, tuple[Path, Path]],
    data_dir: Path,
    version: str = "1.0.0",
) -> Path:
    """Writes a dataset of line pairs, features languages[0] and languages[1], in their order.

    Args:
      name: the dataset's name in lower case.
      languages: names of the two sides, e.g. ("de", "en").
      splits: for each split the two files, of equally many lines.
      data_dir: the TFDS folder to write to.
      version: three numbers.

    Returns:
      The folder written.

    Raises:
      DataError: the two files of a split have different numbers of lines.
    """
    features = tfds.features.Translation(languages=languages)
    examples = {split: _pair_examples(languages, files) for split, files in splits.items()}
    return _write(name, version, features, examples, data_dir)


def write_idx_images(
    name: str,
    splits: Mapping[str, tuple[Path, Path]],
    data_dir: Path,
    version: str = "1.0.0",
    classes: int = 10,
) -> Path:
    """Writes a dataset of grey images with labels, features "image" and "label", from IDX files.

    Args:
      name: the dataset's name in lower case.
      splits: for each split the file of the images, uint8 [n, h, w], and of the labels, uint8 [n]; .gz is unpacked.
      data_dir: the TFDS folder to write to.
      version: three numbers.
      classes: number of different labels.

    Returns:
      The folder written; TFDS shuffles the examples by a hash of their number.

    Raises:
      DataError: a file is not IDX, or the two of a split have different numbers of examples.
    """
    arrays = {split: (read_idx(images), read_idx(labels)) for split, (images, labels) in splits.items()}
    for split, (images, labels) in arrays.items():
        if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise DataError(
                f"split {split!r} has images {images.dtype}{list(images.shape)} and labels {list(labels.shape)}; "
                f"expected uint8 [n, h, w] and [n]. Give the image file first, then the label file."
            )
    height, width = next(iter(arrays.values()))[0].shape[1:]
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(height, width, 1)),
            "label": tfds.features.ClassLabel(num_classes=classes),
        }
    )
    examples = {split: _image_examples(*pair) for split, pair in arrays.items()}
    return _write(name, version, features, examples, data_dir, shuffled=True)


def write_mnist(folder: Path, data_dir: Path) -> Path:
    """Writes the stock dataset `mnist` 3.0.1 from its four .gz files, which TFDS itself cannot without TensorFlow."""
    splits = {
        split: (Path(folder) / images, Path(folder) / labels)
        for split, (images, labels) in _MNIST_FILES.items()
    }
    return write_idx_images("mnist", splits, data_dir, version="3.0.1")


def write_tiny_shakespeare(path: Path, data_dir: Path) -> Path:
    """Writes the stock dataset `tiny_shakespeare` 1.0.0: one text a split, 90, 5 and 5 % of the characters."""
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    first = int(len(text) * 0.9)
    second = first + int((len(text) - first) * 0.5)
    parts = {"train": text[:first], "validation": text[first:second], "test": text[second:]}
    features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
    examples = {split: iter([(split, {"text": part})]) for split, part in parts.items()}
    return _write("tiny_shakespeare", "1.0.0", features, examples, data_dir, shuffled=True)


def read_idx(path: Path) -> Shaped[np.ndarray, "..."]:
    """Reads one array in the IDX format of MNIST, unpacked if its name ends in .gz.

    Raises:
      MissingFileError: there is no such file.
      DataError: it is not IDX, or shorter than it says.
    """
    if not Path(path).exists():
        raise MissingFileError(f"no such file: {path}. Name an IDX file, e.g. train-images-idx3-ubyte.gz.")
    content = (gzip.open if Path(path).suffix == ".gz" else open)(path, "rb").read()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise DataError(
            f"{path} is not an IDX file: it begins with {content[:4]!r}; expected two zero bytes and a type."
        )
    dtype, rank = np.dtype(_IDX_TYPES[content[2]]), content[3]
    shape = struct.unpack_from(f">{rank}I", content, 4) if len(content) >= 4 + 4 * rank else (-1,)
    start = 4 + 4 * rank
    expected = start + int(np.prod(shape)) * dtype.itemsize
    if len(content) != expected:
        raise DataError(
            f"{path} has {len(content)} bytes; expected {expected} for shape {list(shape)}. Fetch it again."
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def open_prepared(name: str, split: str, data_dir: str | None) -> Sequence[dict[str, Any]]:
    """A random-access source of one split of a prepared dataset, text as bytes.

    Raises:
      MissingFileError: it is not prepared, and TFDS cannot prepare it here.
      DataError: no such split, or features of classes outside TensorFlow Datasets, which TFDS would import.
    """
    folder = _prepared_folder(name, data_dir)
    builder: Any = tfds.builder_from_directory(folder)  # its decorators hide the signatures
    try:
        return builder.as_data_source(split=split)
    except (ValueError, KeyError) as error:
        known = ", ".join(builder.info.splits)
        raise DataError(
            f"dataset {name!r} has no split {split!r} ({error}); it has: {known}. Name one of them."
        ) from None


def prepared_files(name: str, data_dir: str | None) -> list[Path]:
    """The files of a prepared dataset, sorted; raises as `open_prepared` does."""
    return sorted(_prepared_folder(name, data_dir).iterdir())


class _LocalBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder of examples that are at hand; TFDS wants a class for each name, made in `_write`."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, features: Any, examples: Mapping[str, Any], shuffled: bool, data_dir: Path):
        self._features, self._examples, self._shuffled = features, examples, shuffled
        super().__init__(data_dir=str(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self, features=self._features, disable_shuffling=not self._shuffled
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return dict(self._examples)

    def _generate_examples(self, **unused: Any) -> Iterator[tuple[int, Any]]:
        raise NotImplementedError("the examples of every split are given to the builder")


def _write(
    name: str,
    version: str,
    features: Any,
    examples: Mapping[str, Any],
    data_dir: Path,
    shuffled: bool = False,
) -> Path:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ConfigError(
            f"dataset {name!r} {version!r}; expected a name like my_corpus and a version like 1.0.0."
        )
    facts = {"name": name, "VERSION": tfds.core.Version(version), "__module__": __name__}
    builder_class = new_class(
        name, (_LocalBuilder,), {"skip_registration": True}, lambda space: space.update(facts)
    )
    builder = builder_class(features, examples, shuffled, data_dir)
    builder.download_and_prepare()
    return Path(builder.data_dir)


def _text_examples(files: Sequence[Path]) -> Iterator[tuple[int, dict[str, str]]]:
    lines = (line for file in files for line in read_lines(Path(file)) if line and not line.isspace())
    return ((number, {"text": line}) for number, line in enumerate(lines))


def _pair_examples(
    languages: tuple[str, str], files: tuple[Path, Path]
) -> Iterator[tuple[int, dict[str, str]]]:
    for number, pair in enumerate(aligned_lines(*map(Path, files))):
        yield number, dict(zip(languages, pair, strict=True))


def _image_examples(
    images: Shaped[np.ndarray, "n h w"], labels: Shaped[np.ndarray, " n"]
) -> Iterator[tuple[int, dict[str, Any]]]:
    from PIL import Image  # an array would be encoded by TensorFlow

    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        yield number, {"image": Image.fromarray(image), "label": label}


def _prepared_folder(name: str, data_dir: str | None) -> Path:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a dataset's name; expected name, name/config or name/config:1.0.0."
        )
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    folder = _newest(name, root)
    if folder is None:
        _prepare_stock(name, root)
        folder = _newest(name, root)
    if folder is None:
        raise MissingFileError(f"dataset {name!r} is not under {root}. Correct data_dir or the name.")
    _check_features(folder)
    return folder


def _newest(name: str, root: Path) -> Path | None:
    """The folder of the dataset's highest version, or of the version named."""
    path, _, version = name.partition(":")
    found = [file.parent for file in (root / path).glob(f"{version or '*.*.*'}/dataset_info.json")]
    return max(found, key=lambda folder: tuple(map(int, re.findall(r"\d+", folder.name)))) if found else None


def _prepare_stock(name: str, root: Path) -> None:
    """Lets TFDS download and write the dataset, as `tfds.data_source` does."""
    try:
        tfds.builder(name, data_dir=str(root), file_format="array_record").download_and_prepare()
    except (
        Exception
    ) as error:  # TFDS lets through whatever its builder, its mirror or a missing TensorFlow raises
        reason = " ".join(str(error).split())[:200]
        raise MissingFileError(
            f"dataset {name!r} is not prepared under {root}, and preparing it failed: {type(error).__name__}: {reason} "
            f"Prepare it elsewhere as array_record, or write it with odeembed.data.builders."
        ) from None


def _check_features(folder: Path) -> None:
    """TFDS imports the classes that features.json names: only its own may be named."""
    try:
        classes = list(_class_names(json.loads((folder / "features.json").read_text("utf-8"))))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder}/features.json cannot be read: {error}. Prepare the dataset again."
        ) from None
    foreign = [found for found in classes if not found.startswith(_FEATURE_CLASSES)]
    if foreign:
        raise DataError(
            f"{folder}/features.json names the class {foreign[0]}, which opening it would import; expected classes of "
            f"{_FEATURE_CLASSES}* only. Prepare the dataset with such features."
        )


def _class_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("pythonClassName", "python_class_name", "type") and isinstance(value, str):
                yield value
            yield from _class_names(value)
    elif isinstance(node, list):
        for value in node:
            yield from _class_names(value)
