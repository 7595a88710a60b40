"""Series as they were recorded: each with times of its own and gaps, from files or from a known path."""

import csv
import gzip
import io
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from odeembed.data.sources import UNPACKING, locate
from odeembed.errors import ConfigError, DataError


class Recordings(NamedTuple):
    """Series that were seen at times of their own.

    Attributes:
      times: of each series, float64 [l], rising.
      values: of each series, float64 [l, c]; NaN where a channel was not seen.
      channels: their c names.
      labels: int32 [n], the class of each series; None where there are none.
      classes: the names of the classes, in the order of their numbers.
      truth: what is known without noise, by name: times [m] in the order in which a path reaches them, and the values
        [n, m, c] there.
    """

    times: tuple[Any, ...]
    values: tuple[Any, ...]
    channels: tuple[str, ...]
    labels: Any = None
    classes: tuple[str, ...] = ()
    truth: Mapping[str, tuple[Any, Any]] = {}

    def pick(self, numbers: Sequence[int] | Int[np.ndarray, " k"]) -> "Recordings":
        """The series of these numbers."""
        return self._replace(
            times=tuple(self.times[number] for number in numbers),
            values=tuple(self.values[number] for number in numbers),
            labels=None if self.labels is None else self.labels[np.asarray(numbers, int)],
            truth={name: (ts, ys[np.asarray(numbers, int)]) for name, (ts, ys) in self.truth.items()},
        )


def checked(found: Recordings, where: str) -> Recordings:
    """The recordings, if a model can use them.

    Raises:
      DataError: no series, times that do not rise, an infinite value, a series in which nothing was seen; with the
        series' number, from 1.
    """
    if not found.times:
        raise DataError(f"{where} holds no series. Give it one or more.")
    width = len(found.channels)
    for number, (ts, ys) in enumerate(zip(found.times, found.values, strict=True), 1):
        place = f"{where}, series {number}"
        if ys.shape != (len(ts), width):
            raise DataError(
                f"{place} has values of shape {list(ys.shape)}; expected [{len(ts)}, {width}], a row for each time "
                f"and a column for each channel."
            )
        if not np.isfinite(ts).all():
            raise DataError(
                f"{place}: time {ts[~np.isfinite(ts)][0]}; expected finite times. Leave them out."
            )
        back = np.flatnonzero(np.diff(ts) <= 0)
        if len(back):
            raise DataError(
                f"{place}: time {ts[back[0] + 1]:g} after time {ts[back[0]]:g}; expected times that rise. Sort "
                f"the rows, and join those of one time."
            )
        if np.isinf(ys).any():
            raise DataError(f"{place} holds an infinite value. Leave it empty where nothing was seen.")
        if np.isnan(ys).all():
            raise DataError(f"{place} has no value at all; expected one or more. Leave the series out.")
    return found


@dataclass(frozen=True)
class SeriesTable:
    """A table of your own: a header `series,time,<channel>,...`, one row for each time, empty fields where nothing was.

    Attributes:
      path: comma-separated text, which may be .gz or .xz, as given or under $ODEEMBED_DATA.
      labels: a table `series,label` of the classes; None: there are none.
    """

    path: str = ""
    labels: str | None = None

    def recordings(self) -> Recordings:
        """The series in the order in which they begin.

        Raises:
          MissingFileError: no such file; DataError: another header, a field that is no number, a series without label.
        """
        path = locate(self.path)
        header, rows = _table(path)
        if header[:2] != ["series", "time"] or len(header) < 3:
            raise DataError(
                f"{path} begins with {','.join(header)!r}; expected series,time and one or more channels. Give it that "
                f"header."
            )
        found: dict[str, list[list[float]]] = {}
        for line, row in rows:
            found.setdefault(row[0], []).append([_number(path, line, field) for field in row[1:]])
        arrays = [np.array(rows, np.float64) for rows in found.values()]
        labels, classes = (None, ()) if self.labels is None else _labels(locate(self.labels), list(found))
        return checked(
            Recordings(
                tuple(rows[:, 0] for rows in arrays),
                tuple(rows[:, 1:] for rows in arrays),
                tuple(header[2:]),
                labels,
                classes,
            ),
            str(path),
        )


@dataclass(frozen=True)
class TimeSeriesFile:
    """Series of the UEA and UCR archives, .ts: channels apart by ":", values by ",", the class at the end of the line.

    The time of a value is its number in its series.

    Attributes:
      path: as given or under $ODEEMBED_DATA; may be .gz.
    """

    path: str = ""

    def recordings(self) -> Recordings:
        """The series, in order; "?" and NaN are values that were not seen.

        Raises:
          MissingFileError: no such file; DataError: it is no such file, or one with time stamps.
        """
        path = locate(self.path)
        facts, lines = _archive(path)
        if facts.get("timestamps", "false").split()[0] == "true":
            raise DataError(f"{path} has time stamps of its own; expected none. Write it as a SeriesTable.")
        names = facts.get("classlabel", "false").split()
        classes = tuple(names[1:]) if names[0] == "true" else ()
        values, labels = [], []
        for number, line in lines:
            parts = line.split(":")
            if classes:
                label = parts.pop().strip()
                if label not in classes:
                    raise DataError(f"{path}, line {number}: class {label!r}; expected one of {classes}.")
                labels.append(classes.index(label))
            columns = [
                [_number(path, number, "" if field == "?" else field) for field in part.split(",")]
                for part in parts
            ]
            if len({len(column) for column in columns}) != 1:
                raise DataError(f"{path}, line {number}: channels of different lengths. Pad them with ?.")
            values.append(np.array(columns, np.float64).T)
        width = values[0].shape[1] if values else 0
        return checked(
            Recordings(
                tuple(np.arange(len(ys), dtype=np.float64) for ys in values),
                tuple(values),
                tuple(f"channel {number}" for number in range(1, width + 1)),
                np.array(labels, np.int32) if classes else None,
                classes,
            ),
            str(path),
        )


@dataclass(frozen=True)
class PhysioNet2012:
    """Stays in intensive care of the PhysioNet challenge of 2012: 41 quantities in 48 hours, and who died in hospital.

    Age, gender, height, weight and the kind of unit are among the quantities, seen at time 0. Values of a quantity at
    one time count as their mean; values below 0 mean "not known" and are left out.

    Attributes:
      path: a table RecordID,Time,Parameter,Value of the whole set, .gz or .xz or plain.
      outcomes: the set's outcomes, with the column In-hospital_death.
      quantum: hours; times are rounded to multiples of it, and values of one time averaged. 0: none.

    References:
      Silva et al. 2012, Predicting In-Hospital Mortality of ICU Patients; Rubanova et al. 2019, appendix E, for the
      quantum.
    """

    path: str = "physionet2012/set-a.csv.xz"
    outcomes: str = "physionet2012/Outcomes-a.txt"
    quantum: float = 0.016

    def recordings(self) -> Recordings:
        """The stays in the order of their record numbers, times in hours, label 1 for a death; empty stays left out.

        Raises:
          MissingFileError: no such file; DataError: other columns, or a stay without outcome.
        """
        path = locate(self.path)
        header, rows = _table(path)
        if header != ["RecordID", "Time", "Parameter", "Value"]:
            raise DataError(
                f"{path} begins with {','.join(header)!r}; expected RecordID,Time,Parameter,Value. Join the set's "
                f"files into one table."
            )
        died = _outcomes(locate(self.outcomes))
        seen: list[tuple[str, float, str, float]] = []
        for line, (stay, clock, quantity, field) in rows:
            value = _number(path, line, field)
            if quantity != "RecordID" and value >= 0:
                hours, _, minutes = clock.partition(":")
                seen.append(
                    (stay, _number(path, line, hours) + _number(path, line, minutes) / 60, quantity, value)
                )
        names, clocks, quantities, values = (np.array(column) for column in zip(*seen, strict=True))
        stays, stay = np.unique(names, return_inverse=True)
        unknown = [name for name in stays.tolist() if name not in died]
        if unknown:
            raise DataError(
                f"{self.outcomes} has no outcome for stay {unknown[0]}. Give that of the same set."
            )
        if self.quantum:
            clocks = np.round(clocks / self.quantum) * self.quantum
        channels, channel = np.unique(quantities, return_inverse=True)
        moments, moment = np.unique(np.stack([stay, clocks]), axis=1, return_inverse=True)
        place = moment.reshape(-1) * len(channels) + channel
        size = moments.shape[1] * len(channels)
        count = np.bincount(place, minlength=size)
        with np.errstate(invalid="ignore"):
            means = np.bincount(place, values, size) / count
        ends = np.searchsorted(moments[0], np.arange(1, len(stays)))
        found = Recordings(
            tuple(np.split(moments[1], ends)),
            tuple(np.split(means.reshape(-1, len(channels)), ends)),
            tuple(channels.tolist()),
            np.array([died[name] for name in stays.tolist()], np.int32),
            ("survived", "died"),
        )
        return checked(found, str(path))


def _outcomes(path: Path) -> dict[str, int]:
    header, rows = _table(path)
    if "RecordID" not in header or "In-hospital_death" not in header:
        raise DataError(f"{path} has columns {', '.join(header)}; expected RecordID and In-hospital_death.")
    stay, death = header.index("RecordID"), header.index("In-hospital_death")
    return {row[stay]: int(_number(path, line, row[death])) for line, row in rows}


def _labels(path: Path, series: list[str]) -> tuple[Int[np.ndarray, " n"], tuple[str, ...]]:
    header, rows = _table(path)
    if header != ["series", "label"]:
        raise DataError(f"{path} begins with {','.join(header)!r}; expected series,label.")
    known = {row[0]: row[1] for _, row in rows}
    missing = [name for name in series if name not in known]
    if missing:
        raise DataError(f"{path} has no label for series {missing[0]!r}. Give every series one.")
    classes = tuple(sorted({known[name] for name in series}))
    return np.array([classes.index(known[name]) for name in series], np.int32), classes


def _archive(path: Path) -> tuple[dict[str, str], Iterator[tuple[int, str]]]:
    """The lines `@name value` before @data, by name in lower case, and the numbered lines after it."""
    lines = [(number, line.strip()) for number, line in enumerate(_text(path).splitlines(), 1)]
    facts: dict[str, str] = {}
    for place, (_, line) in enumerate(lines):
        if line.lower() == "@data":
            rest = lines[place + 1 :]
            return facts, ((number, text) for number, text in rest if text and text[0] not in "#@")
        if line.startswith("@"):
            name, _, value = line[1:].partition(" ")
            facts[name.lower()] = value.strip() or "false"
    raise DataError(f"{path} has no line @data; expected a .ts file of the UEA and UCR archives.")


def _table(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header, and the rows with their line numbers, all as long as the header."""
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    header = [name.strip() for name in next(reader, [])]
    if not header:
        raise DataError(f"{path} is empty; expected a header and rows.")

    def rows() -> Iterator[tuple[int, list[str]]]:
        for row in reader:
            if len(row) != len(header) and row:
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} fields; expected {len(header)}, as in the header."
                )
            if row:
                yield reader.line_num, [field.strip() for field in row]

    return header, rows()


_OPENED: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress}


def _text(path: Path) -> str:
    try:
        return _OPENED.get(path.suffix, bytes)(path.read_bytes()).decode("utf-8-sig")
    except (OSError, *UNPACKING, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}. Give UTF-8, plain, .gz or .xz.") from None


def _number(path: Path, line: int, field: str) -> float:
    try:
        return float(field) if field else np.nan
    except ValueError:
        raise DataError(
            f"{path}, line {line}: {field!r} is no number. Leave the field empty where nothing was seen."
        ) from None


def thinned(found: Recordings, share: float) -> Recordings:
    """The recordings without that share of the times of each series, chosen once for all; one time at least stays.

    References:
      Kidger et al. 2020, Neural Controlled Differential Equations, section 4.1.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"dropped is a share in [0, 1); got {share}. Use e.g. 0.3.")
    rng = np.random.default_rng(0)
    times, values = [], []
    for ts, ys in zip(found.times, found.values, strict=True):
        kept = np.sort(rng.permutation(len(ts))[: max(1, round((1 - share) * len(ts)))])
        if np.isnan(ys[kept]).all():  # what is left must have a value
            kept = np.union1d(kept, np.flatnonzero(~np.isnan(ys).all(1))[:1])
        times.append(ts[kept])
        values.append(ys[kept])
    return found._replace(times=tuple(times), values=tuple(values))
