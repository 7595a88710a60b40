"""Images with labels as batches, from TensorFlow Datasets: `batch(step)` a pure function of seed and step."""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32, UInt8

from odeembed.batch import Batch
from odeembed.data.buckets import WHOLE, Permuted, Share
from odeembed.data.prepare import cache_root
from odeembed.data.sources import prepared_root
from odeembed.data.splits import SPLITS, check_model, check_one_batch, check_split
from odeembed.errors import ConfigError, DataError


@dataclass(frozen=True)
class ImageData:
    """A TensorFlow Dataset of images with labels, and the arithmetic of its batches.

    Attributes:
      name: the dataset, e.g. "mnist" or "cifar10:3.0.2".
      data_dir: the folder that holds it; relative ones are tried under $ODEEMBED_DATA too. None: tfds/ under
        $ODEEMBED_DATA where the dataset is prepared there, else TFDS's own, where TFDS prepares it if it can.
      train, valid, test: the splits as TFDS names them; it has shuffled the examples of a split, so that any part of
        one is a fair sample.
      image, label: names of the two features.
      rows: images of a training batch.
      crop: pixels by which a training image is shifted at most in either direction, black coming in; 0: none.
      flip: whether a training image is mirrored, left to right, half of the time.
    """

    name: str = "mnist"
    data_dir: str | None = None
    train: str = "train[:55000]"
    valid: str = "train[55000:]"
    test: str = "test"
    image: str = "image"
    label: str = "label"
    rows: int = 128
    crop: int = 0
    flip: bool = False
    entries: ClassVar[str] = "images"  # what a batch has in its rows

    def __post_init__(self):
        for name, least in (("rows", 1), ("crop", 0)):
            value = getattr(self, name)
            if isinstance(value, int) and value < least:
                raise ConfigError(f"{name} must be at least {least}; got {value}. Set --data.{name} higher.")

    def open(
        self,
        seed: int,
        *,
        share: Share = WHOLE,
        progress: Callable[[str], None] | None = None,
        cache_dir: Path | None = None,
    ) -> "ImageDataset":
        """Reads the images: those of a split are decoded once, and kept in the cache.

        Args:
          seed: decides the order of the images and their shifts, nothing else.
          share: the rows of this host, of several.
          progress: told when images have to be decoded.
          cache_dir: root of the caches; None: $ODEEMBED_CACHE or ~/.cache/odeembed.

        Raises:
          MissingFileError: the dataset is not prepared, and cannot be prepared here.
          DataError: no such split or feature, images of different shapes, labels out of range, or too few images.
        """
        images = _decoded(self, cache_root(cache_dir), progress or (lambda text: None))
        return ImageDataset(self, seed, images, share)


class Images(NamedTuple):
    """The images of a split, uint8 [n, h, w, c], their labels, int32 [n], and how many different ones there are."""

    values: UInt8[np.ndarray, "n h w c"]
    labels: Int32[np.ndarray, " n"]
    classes: int


class ImageDataset:
    """Open images.

    Attributes:
      data: its configuration.
      images: those of each split.
      mean, scale: of each channel's values in the train split, uint8, float32 [c].
    """

    def __init__(self, data: ImageData, seed: int, images: dict[str, Images], share: Share = WHOLE):
        self.data, self.seed, self.images, self._share = data, seed, images, share
        train = images["train"]
        for split, found in images.items():
            if found.values.shape[1:] != train.values.shape[1:]:
                raise DataError(
                    f"data.{split} has images of {_shape(found)} and data.train of {_shape(train)}; expected one "
                    f"shape. Give splits of one dataset."
                )
        check_one_batch(len(train.values), data.rows, "images")
        self.mean, self.scale = _moments(train.values)
        self._order = Permuted(len(train.values), data.rows, seed)
        share.check([data.rows], "data.rows")

    @property
    def classes(self) -> int:
        """How many different labels there are."""
        return self.images["train"].classes

    @property
    def steps_per_epoch(self) -> int:
        """Training batches an epoch."""
        return self._order.steps_per_epoch

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a run to continue: images, arithmetic of the batches, seed."""
        digest = hashlib.sha256()
        for split in SPLITS:
            for array in self.images[split][:2]:
                digest.update(array.tobytes())
        settings = {name: getattr(self.data, name) for name in ("rows", "crop", "flip")}
        return {"images": digest.hexdigest(), **settings, "seed": self.seed}

    def batch(self, step: int) -> Batch:
        """This host's rows of the training batch of a step, shifted and mirrored anew; pure in (seed, step)."""
        index = self._order.batch(step)
        values = self._varied(self.images["train"].values[index], np.random.default_rng([self.seed, 1, step]))
        return self._filled("train", self._share.of(index), self._share.of(values))

    def evaluation(self, split: str) -> Iterator[Batch]:
        """Yields every image of a split once as it is, in batches of one shape; rows that fill up have index -1."""
        check_split(split)
        images = self.images[split].values
        for index in self._order.evaluation(len(images)):
            yield self._filled(split, index, images[index])

    def specialise(self, model: Any) -> Any:
        """The model, checked to know as many classes as there are.

        Raises:
          ConfigError: it does not.
        """
        check_model(model, "classes", self.classes, f"{self.data.name} has {self.classes} classes")
        return model

    def inspect(self) -> dict[str, Any]:
        """Numbers for people."""
        return {
            "images": {split: len(found.values) for split, found in self.images.items()},
            "shape": list(self.images["train"].values.shape[1:]),
            "classes": self.classes,
            "steps_per_epoch": self.steps_per_epoch,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    def _varied(self, images: UInt8[np.ndarray, "b h w c"], rng: Any) -> UInt8[np.ndarray, "b h w c"]:
        count, high, wide = images.shape[:3]
        if self.data.crop:
            edge = (self.data.crop, self.data.crop)
            padded = np.pad(images, ((0, 0), edge, edge, (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (high, wide), axis=(1, 2))
            down, right = rng.integers(0, 2 * self.data.crop + 1, (2, count))
            images = np.moveaxis(windows[np.arange(count), down, right], 1, -1)
        if self.data.flip:
            mirrored = rng.random(count) < 0.5
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        return images

    def _filled(
        self, split: str, index: Int[np.ndarray, " b"], images: UInt8[np.ndarray, "b h w c"]
    ) -> Batch:
        """A batch of these images, each channel with mean 0 and standard deviation 1; 0 in rows of number -1."""
        real = index >= 0
        values = (images - self.mean) / self.scale
        values = np.where(real[:, None, None, None], values, np.float32(0))
        labels = np.where(real, self.images[split].labels[index], 0).astype(np.int32)
        times = np.zeros((len(index), 1), np.float32)
        return Batch(values, times, real[:, None], np.ascontiguousarray(index), target=labels)


def _moments(images: UInt8[np.ndarray, "n h w c"]) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Mean and standard deviation of each channel, from how often each of the 256 values occurs."""
    values, found = np.arange(256.0), []
    for channel in np.moveaxis(images, -1, 0):
        share = np.bincount(channel.ravel(), minlength=256) / channel.size
        mean = share @ values
        found.append((mean, np.sqrt(share @ np.square(values - mean)) or 1.0))
    mean, scale = np.array(found, np.float32).T
    return mean, scale


def _decoded(data: ImageData, root: Path, report: Callable[[str], None]) -> dict[str, Images]:
    """The splits, from the cache where it has them."""
    from odeembed.data.builders import open_prepared, prepared_files

    folder = prepared_root(data.name, data.data_dir)
    files = [(str(file), file.stat().st_size) for file in prepared_files(data.name, folder)]
    splits = {}
    for split in SPLITS:
        named = getattr(data, split)
        facts = json.dumps([files, named, data.image, data.label])
        cached = root / "images" / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}.npz"
        found = _read(cached)
        if found is None:
            report(f"decoding the {split} images of {data.name} ({named})")
            found = _examined(data, split, open_prepared(data.name, named, folder))
            _write(cached, found)
        splits[split] = found
    return splits


def _examined(data: ImageData, split: str, examples: Sequence[dict[str, Any]]) -> Images:
    where = f"data.{split} ({data.name}, {getattr(data, split)})"
    if not len(examples):
        raise DataError(f"{where} has no images. Name a split that has some.")
    first = examples[0]
    for setting in ("image", "label"):
        if getattr(data, setting) not in first:
            raise DataError(
                f"{where} has no feature {getattr(data, setting)!r}; it has: {', '.join(first)}. Set data.{setting} to "
                f"one of them."
            )
    images, labels = [], []
    for number, example in enumerate(examples):
        image = np.asarray(example[data.image])
        if image.ndim != 3 or image.dtype != np.uint8 or image.shape != np.shape(first[data.image]):
            raise DataError(
                f"{where}, image {number}: {image.dtype}{list(image.shape)}; expected uint8 [h, w, c], as large as the "
                f"first. Resize them when the dataset is prepared."
            )
        images.append(image)
        labels.append(example[data.label])
    return Images(np.stack(images), *_checked(where, labels, _classes(examples, data.label)))


def _checked(where: str, labels: list[Any], classes: int) -> tuple[Int32[np.ndarray, " n"], int]:
    found = np.array(labels)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise DataError(
            f"{where} has labels {found.dtype}{list(found.shape)}; expected one integer an image."
        )
    classes = classes or int(found.max(initial=0)) + 1
    bad = np.flatnonzero((found < 0) | (found >= classes))
    if len(bad):
        raise DataError(
            f"{where}, image {bad[0]}: label {found[bad[0]]}, as out of range as {len(bad)} are; expected 0 to "
            f"{classes - 1}. Number the classes from 0, or leave these images out."
        )
    return found.astype(np.int32), classes


def _classes(examples: Any, label: str) -> int:
    """What the dataset says of its labels; 0 where it says nothing."""
    return getattr(examples.dataset_info.features[label], "num_classes", None) or 0


def _read(file: Path) -> Images | None:
    try:
        with np.load(file, allow_pickle=False) as found:
            return Images(found["values"], found["labels"], int(found["classes"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(file: Path, images: Images) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as part:
        np.savez(part, **images._asdict())
    os.replace(part.name, file)


def _shape(images: Images) -> str:
    return " x ".join(map(str, images.values.shape[1:]))
