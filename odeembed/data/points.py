"""Points as batches: rows of numbers from a file or a known density, `batch(step)` a pure function of seed and step."""

import gzip
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from odeembed.batch import Batch
from odeembed.data.buckets import WHOLE, Permuted, Share
from odeembed.data.densities import ToyDensity
from odeembed.data.sources import UNPACKING, locate
from odeembed.data.splits import (
    SPLITS,
    check_held_out,
    check_model,
    check_one_batch,
    check_split,
    held_out_size,
)
from odeembed.errors import ConfigError, DataError


@dataclass(frozen=True)
class Table:
    """Rows of numbers in a file: .npy, or text with spaces or commas between them; either may be .gz.

    Attributes:
      path: as given, or under $ODEEMBED_DATA.
      columns: how many there must be; 0: any number.
      dequantised: whether each column gets uniform noise as wide as the least distance between two of its values, as
        for measurements that were rounded: a density of rounded values has no upper bound.
    """

    path: str = ""
    columns: int = 0
    dequantised: bool = False

    def rows(self) -> Float[np.ndarray, "n d"]:
        """The numbers, float64.

        Raises:
          MissingFileError: no such file.
          DataError: no table of numbers, a number that is not finite, or other columns than expected.
        """
        path = locate(self.path)
        found = _read(path)
        if self.columns and found.shape[1] != self.columns:
            raise DataError(
                f"{path} has {found.shape[1]} columns; expected {self.columns}. Give the file that the config names, "
                f"or set columns."
            )
        bad = np.argwhere(~np.isfinite(found))
        if len(bad):
            row, column = bad[0] + 1
            raise DataError(
                f"{path}, row {row}, column {column}: {found[row - 1, column - 1]}, as in {len(bad)} places; expected "
                f"finite numbers. Fill them in, or leave these rows out."
            )
        return found + _noise(found) if self.dequantised else found


Source = Table | ToyDensity


@dataclass(frozen=True)
class PointData:
    """Points, and the arithmetic of their batches.

    Attributes:
      train: what is trained on.
      valid, test: the other splits; None: `held_out` of the train rows each, chosen once for all seeds.
      held_out: that fraction.
      rows: points of a training batch.
      standardised: whether each column gets mean 0 and standard deviation 1, by those of the train split.
    """

    train: Source = ToyDensity()
    valid: Source | None = None
    test: Source | None = None
    held_out: float = 0.1
    rows: int = 512
    standardised: bool = False
    entries: ClassVar[str] = "points"  # what a batch has in its rows

    def __post_init__(self):
        if isinstance(self.rows, int) and self.rows < 1:
            raise ConfigError(f"rows must be at least 1; got {self.rows}. Set --data.rows 512.")
        check_held_out(self.held_out)

    def open(
        self, seed: int, *, share: Share = WHOLE, progress: Callable[[str], None] | None = None
    ) -> "PointDataset":
        """Reads the points.

        Args:
          seed: decides the order of the points, nothing else.
          share: the rows of this host, of several.

        Raises:
          MissingFileError: a file is not there; DataError: it holds what cannot be used, or too little.
        """
        return PointDataset(self, seed, share)


class PointDataset:
    """Open points.

    Attributes:
      data: its configuration.
      points: the rows of each split, float32 [n, d], standardised where that is asked for.
      mean, scale: what was subtracted from each column, and by what it was divided then; float64 [d].
    """

    def __init__(self, data: PointData, seed: int, share: Share = WHOLE):
        self.data, self.seed, self._share = data, seed, share
        found = _splits(data)
        width = found["train"].shape[1]
        for split, rows in found.items():
            if rows.shape[1] != width:
                raise DataError(
                    f"data.{split} has {rows.shape[1]} columns and data.train {width}; expected as many. Give tables "
                    f"of one kind."
                )
        check_one_batch(len(found["train"]), data.rows, "points")
        self.mean, self.scale = np.zeros(width), np.ones(width)
        if data.standardised:
            self.mean, self.scale = found["train"].mean(0), found["train"].std(0)
            constant = np.flatnonzero(self.scale <= 1e-12 * np.maximum(np.abs(self.mean), 1.0))
            if len(constant):
                raise DataError(
                    f"column {constant[0] + 1} of data.train is {self.mean[constant[0]]:g} throughout; expected "
                    f"columns that vary. Leave it out."
                )
        self.points = {
            split: ((rows - self.mean) / self.scale).astype(np.float32) for split, rows in found.items()
        }
        self._order = Permuted(len(self.points["train"]), data.rows, seed)
        share.check([data.rows], "data.rows")

    @property
    def width(self) -> int:
        """Numbers a point."""
        return self.points["train"].shape[1]

    @property
    def steps_per_epoch(self) -> int:
        """Training batches an epoch."""
        return self._order.steps_per_epoch

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a run to continue: points, arithmetic of the batches, seed."""
        digest = hashlib.sha256(b"".join(self.points[split].tobytes() for split in SPLITS)).hexdigest()
        return {"points": digest, "rows": self.data.rows, "seed": self.seed}

    def batch(self, step: int) -> Batch:
        """This host's rows of the training batch of a step; pure in (seed, step), each epoch in an order of its own."""
        return self._filled("train", self._share.of(self._order.batch(step)))

    def evaluation(self, split: str) -> Iterator[Batch]:
        """Yields every point of a split once, in batches of one shape; rows that fill up the last have index -1."""
        check_split(split)
        for index in self._order.evaluation(len(self.points[split])):
            yield self._filled(split, index)

    def specialise(self, model: Any) -> Any:
        """The model, checked to be one of points as wide as these.

        Raises:
          ConfigError: it is not.
        """
        check_model(model, "width", self.width, f"the points have {self.width} columns")
        return model

    def restored(self, points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points in the units of the data."""
        return points * self.scale + self.mean

    def inspect(self) -> dict[str, Any]:
        """Numbers for people."""
        return {
            "points": {split: len(rows) for split, rows in self.points.items()},
            "columns": self.width,
            "steps_per_epoch": self.steps_per_epoch,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    def _filled(self, split: str, index: Int[np.ndarray, " b"]) -> Batch:
        """The points of these numbers; 0 in rows of number -1."""
        real = index >= 0
        values = np.where(real[:, None], self.points[split][index], np.float32(0))
        times = np.zeros((len(index), 1), np.float32)
        return Batch(values, times, real[:, None], np.ascontiguousarray(index))


def _splits(data: PointData) -> dict[str, Float[np.ndarray, "n d"]]:
    own = {"valid": data.valid, "test": data.test}
    found = {split: source.rows() for split, source in own.items() if source is not None}
    rows = data.train.rows()
    shared = [split for split, source in own.items() if source is None]
    if shared:
        size = held_out_size(len(rows), data.held_out, "points")
        rows = rows[np.random.default_rng(0).permutation(len(rows))]
        for split in shared:
            found[split], rows = rows[:size], rows[size:]
    return {"train": rows, "valid": found["valid"], "test": found["test"]}


def _read(path: Path) -> Float[np.ndarray, "n d"]:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if path.name.removesuffix(".gz").endswith(".npy"):
            found = np.asarray(np.load(io.BytesIO(raw), allow_pickle=False), np.float64)
        else:
            text = raw.decode("utf-8").replace(",", " ")
            found = np.loadtxt(io.StringIO(text), np.float64, ndmin=2)
    except (ValueError, *UNPACKING) as error:
        raise DataError(
            f"{path} is not a table of numbers: {' '.join(str(error).split())}. Give rows of numbers, .npy or text."
        ) from None
    if found.ndim != 2 or not found.size:
        raise DataError(
            f"{path} holds an array of shape {found.shape}; expected rows and columns. Reshape it."
        )
    return found


def _noise(found: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Uniform in half the least distance of two values of the column to either side, the same each time."""
    steps = [float(np.diff(np.unique(column)).min(initial=np.inf)) for column in found.T]
    widths = np.where(np.isfinite(steps), steps, 0.0)
    return widths * (np.random.default_rng(0).random(found.shape) - 0.5)
