"""Irregular series as batches: series of like length together, `batch(step)` a pure function of seed and step."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int

from odeembed.batch import Batch
from odeembed.data.buckets import WHOLE, Buckets, Share, check_buckets, rows_of
from odeembed.data.recordings import PhysioNet2012, Recordings, SeriesTable, TimeSeriesFile, checked, thinned
from odeembed.data.spirals import Spirals
from odeembed.data.splits import SPLITS, check_held_out, check_model, check_split, held_out_size
from odeembed.errors import ConfigError, DataError

Source = Spirals | SeriesTable | TimeSeriesFile | PhysioNet2012


@dataclass(frozen=True)
class SeriesData:
    """Series, and the arithmetic of their batches.

    Attributes:
      train: what is trained on.
      valid, test: the other splits; None: `held_out` of the train series each, chosen once for all seeds.
      held_out: that fraction.
      folds: number of parts for cross-validation; the test split is then part `seed` modulo this number, and the valid
        split is held out from the rest. 0: none.
      buckets: the lengths, in times, to which series are padded; at most four.
      batch_times: a batch of bucket length l has batch_times // l rows, rounded down to a multiple of 8.
      dropped: share of the times of every series that is left out, chosen once for all.
      scaling: what is done to each channel, by the values of the train split: "standard" gives mean 0 and standard
        deviation 1, "range" the smallest value 0 and the largest 1.
      time_unit: length of a unit of time in the source's own, by which times are divided.
    """

    train: Source = Spirals()
    valid: Source | None = None
    test: Source | None = None
    held_out: float = 0.1
    folds: int = 0
    buckets: tuple[int, ...] = (100,)
    batch_times: int = 12_800
    dropped: float = 0.0
    scaling: Literal["standard", "range"] | None = None
    time_unit: float = 1.0
    entries: ClassVar[str] = "times"  # what a batch has in its rows

    def __post_init__(self):
        check_buckets(self.buckets, self.batch_times, "batch_times")
        check_held_out(self.held_out)
        if self.folds and (self.folds < 2 or self.test is not None):
            raise ConfigError(
                f"folds needs two parts or more, and no test source; got {self.folds} and {self.test}. Set folds 0, or "
                f"leave test out."
            )
        if not self.time_unit > 0:
            raise ConfigError(f"time_unit must be above 0; got {self.time_unit}. Use 1.0.")

    def open(
        self, seed: int, *, share: Share = WHOLE, progress: Callable[[str], None] | None = None
    ) -> "SeriesDataset":
        """Reads the series.

        Args:
          seed: decides the order of the series and, with folds, which of them are the test split.
          share: the rows of this host, of several.

        Raises:
          MissingFileError: a file is not there; DataError: it holds what cannot be used, or too little.
        """
        return SeriesDataset(self, seed, share)


class SeriesDataset:
    """Open series.

    Attributes:
      data: its configuration.
      series: the recordings of each split, scaled.
      shift, scale: what was subtracted from each channel, and by what it was divided then; float64 [c].
      shapes: (rows, length) of the global batches that occur, by rising length.
    """

    def __init__(self, data: SeriesData, seed: int, share: Share = WHOLE):
        self.data, self.seed, self._share = data, seed, share
        found = _splits(data, seed)
        self.shift, self.scale = _scaling(found["train"], data.scaling)
        self.series = {split: self._scaled(one) for split, one in found.items()}
        longest = max(len(ts) for one in self.series.values() for ts in one.times)
        if longest > data.buckets[-1]:
            raise DataError(
                f"a series of {longest} times; expected at most {data.buckets[-1]}, the last bucket. Set data.buckets "
                f"so that the last is {longest} or more."
            )
        self._buckets = Buckets(self._lengths("train"), data.buckets, data.batch_times, seed)
        self.shapes = self._buckets.shapes
        if not self.shapes:
            there, longest = len(found["train"].times), data.buckets[-1]
            raise DataError(
                f"{there} series to train on; expected at least one batch of {rows_of(data.batch_times, longest)}. Set "
                f"data.batch_times to {max(rows_of(there, 1), 8) * longest} or less, or give more."
            )

        share.check((rows for rows, _ in self.shapes), "data.batch_times and data.buckets")

    @property
    def channels(self) -> tuple[str, ...]:
        """Their names."""
        return self.series["train"].channels

    @property
    def steps_per_epoch(self) -> int:
        """Training batches an epoch."""
        return self._buckets.steps_per_epoch

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a run to continue: series, arithmetic of the batches, seed."""
        digest = hashlib.sha256()
        for split in SPLITS:
            one = self.series[split]
            for array in (*one.times, *one.values, *([] if one.labels is None else [one.labels])):
                digest.update(np.ascontiguousarray(array).tobytes())
        return {
            "series": digest.hexdigest(),
            "buckets": list(self.data.buckets),
            "batch_times": self.data.batch_times,
            "seed": self.seed,
        }

    def batch(self, step: int) -> Batch:
        """This host's rows of the training batch of a step; pure in (seed, step)."""
        length, index = self._buckets.batch(step)
        return self._filled("train", self._share.of(index), length)

    def evaluation(self, split: str) -> Iterator[Batch]:
        """Yields every series of a split once; rows that fill up the last batch of a shape have index -1."""
        for length, index in self._buckets.evaluation(self._lengths(split)):
            yield self._filled(split, index, length)

    def truth(self, split: str) -> dict[str, tuple[Float[np.ndarray, " m"], Float[np.ndarray, "n m c"]]]:
        """Times and values without noise, in the model's units, by name and in the order of the split.

        Raises:
          ConfigError: nothing is known of these series but what was seen.
        """
        known = self._split(split).truth
        if not known:
            raise ConfigError(
                f"the paths of {type(self.data.train).__name__} are not known without noise. Leave this score out."
            )
        return {name: (ts.astype(np.float32), ys.astype(np.float32)) for name, (ts, ys) in known.items()}

    def specialise(self, model: Any) -> Any:
        """The model, checked to be one of such series.

        Raises:
          ConfigError: other channels, classes where the series have none, or another number of them.
        """
        channels, classes = len(self.channels), len(self.series["train"].classes)
        check_model(model, "channels", channels, f"the series have {channels} channels")
        unlabelled = "" if classes else "Give the data labels."
        check_model(model, "classes", classes, f"the series have {classes} classes", unlabelled)
        return model

    def restored(self, values: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n c"]:
        """Values in the units of the data."""
        return values * self.scale + self.shift

    def inspect(self) -> dict[str, Any]:
        """Numbers for people."""
        train = self.series["train"]
        lengths = self._lengths("train")
        seen = np.mean([np.mean(~np.isnan(ys)) for ys in train.values])
        return {
            "series": {split: len(one.times) for split, one in self.series.items()},
            "channels": list(self.channels),
            "classes": list(train.classes),
            "times": {
                "fewest": int(lengths.min()),
                "mean": float(lengths.mean()),
                "most": int(lengths.max()),
            },
            "seen": float(seen),
            "steps_per_epoch": self.steps_per_epoch,
            "shapes": [{"rows": rows, "length": length} for rows, length in self.shapes],
        }

    def _lengths(self, split: str) -> Int[np.ndarray, " n"]:
        return np.array([len(ts) for ts in self._split(split).times], np.int64)

    def _split(self, split: str) -> Recordings:
        check_split(split)
        return self.series[split]

    def _scaled(self, one: Recordings) -> Recordings:
        unit = self.data.time_unit
        return one._replace(
            times=tuple(ts / unit for ts in one.times),
            values=tuple((ys - self.shift) / self.scale for ys in one.values),
            truth={name: (ts / unit, (ys - self.shift) / self.scale) for name, (ts, ys) in one.truth.items()},
        )

    def _filled(self, split: str, index: Int[np.ndarray, " b"], length: int) -> Batch:
        """The series of these numbers; a row of number -1 is empty, and padded times go on by 1."""
        one = self._split(split)
        values = np.zeros((len(index), length, len(self.channels)), np.float32)
        times = np.tile(np.arange(length, dtype=np.float32), (len(index), 1))
        mask = np.zeros((len(index), length), bool)
        for row, number in enumerate(index.tolist()):
            if number < 0:
                continue
            ts = one.times[number]
            values[row, : len(ts)] = one.values[number]
            times[row] = ts[-1] + 1 + times[row] - len(ts)
            times[row, : len(ts)] = ts
            mask[row, : len(ts)] = True
        labels = None if one.labels is None else np.where(index >= 0, one.labels[index], 0).astype(np.int32)
        return Batch(values, times, mask, np.ascontiguousarray(index), target=labels)


def _splits(data: SeriesData, seed: int) -> dict[str, Recordings]:
    sources = {"train": data.train, "valid": data.valid, "test": data.test}
    found = {
        split: thinned(checked(source.recordings(), f"data.{split}"), data.dropped)
        for split, source in sources.items()
        if source is not None
    }
    train = found["train"]
    for split, one in found.items():
        if one.channels != train.channels or one.classes != train.classes:
            raise DataError(
                f"data.{split} has channels {one.channels} and classes {one.classes}, data.train {train.channels} and "
                f"{train.classes}; expected the same."
            )
    count = len(train.times)
    order = np.random.default_rng(0).permutation(count)
    if data.folds:
        if count < data.folds:
            raise DataError(f"{count} series cannot be cut into {data.folds} parts. Set data.folds lower.")
        test = np.array_split(order, data.folds)[seed % data.folds]
        found["test"] = train.pick(np.sort(test))
        order = np.setdiff1d(order, test)
        order = np.random.default_rng(0).permutation(order)
    shared = [split for split in ("test", "valid") if split not in found]
    size = held_out_size(count, data.held_out, "series") if shared else 0
    for split in shared:
        found[split], order = train.pick(np.sort(order[:size])), order[size:]
    found["train"] = train.pick(np.sort(order))
    return found


def _scaling(
    train: Recordings, kind: Literal["standard", "range"] | None
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """What is subtracted from each channel, and by what it is divided then; a channel that does not vary by 1."""
    width = len(train.channels)
    if kind is None:
        return np.zeros(width), np.ones(width)
    columns = [column[~np.isnan(column)] for column in np.concatenate(train.values).T]
    if kind == "standard":
        shift = [column.mean() if len(column) else 0.0 for column in columns]
        scale = [column.std() if len(column) else 1.0 for column in columns]
    else:
        shift = [column.min(initial=np.inf) if len(column) else 0.0 for column in columns]
        scale = [np.ptp(column) if len(column) else 1.0 for column in columns]
    scale = np.array(scale)
    return np.array(shift), np.where(scale > 0, scale, 1.0)
