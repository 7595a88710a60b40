"""What a run tells while it runs: metrics.jsonl, progress on the terminal, TensorBoard events."""

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from odeembed.errors import ConfigError

METRICS = "metrics.jsonl"
TIMING = ("seconds", "tokens_per_second")  # the fields of a line that differ between equal runs


# What follows a run: a function of one record. A record has a "kind": "train" and "eval" are lines of metrics.jsonl
# with "steps" (of the whole run), "seconds_left" and "entries" (what is counted) added; "notice" has a "text".
Report = Callable[[Mapping[str, Any]], object]


class MetricsFile:
    """metrics.jsonl of a run directory: one JSON object a line, each step at most once a kind.

    Opening it drops the lines beyond `step`, which the run is about to write again, and a line cut off by a crash.
    """

    def __init__(self, run_dir: Path, step: int) -> None:
        self._path = Path(run_dir) / METRICS
        kept = [record for record in read_metrics(run_dir) if record["step"] <= step]
        part = self._path.with_suffix(".part")
        part.write_text("".join(map(_line, kept)), encoding="utf-8")
        os.replace(part, self._path)
        self._file = self._path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a line and hands it to the operating system, so that a killed process loses none."""
        self._file.write(_line(record))
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_metrics(run_dir: Path | str) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, none when there is no file; a torn last line is left out."""
    path = Path(run_dir) / METRICS
    if not path.exists():
        return []
    *lines, _torn = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]


def _line(record: Mapping[str, Any]) -> str:
    values = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }
    return json.dumps(values, allow_nan=False) + "\n"


class Progress:
    """Progress on standard error: a bar on a terminal, a plain line a record elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        if sys.stderr.isatty():
            self._bar = _bar()

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Shows a record."""
        text = _text(record)
        if self._bar is None:
            print(text, file=sys.stderr, flush=True)
        elif record["kind"] == "train":
            if self._task is None:
                self._bar.start()
                self._task = self._bar.add_task("", total=record["steps"])
            self._bar.update(self._task, completed=record["step"], description=text)
        else:
            self._bar.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Leaves the bar where it stands."""
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    # no column that rich updates by itself: the time left is computed from the run, evaluations included
    columns = BarColumn(bar_width=20), TextColumn("{task.description}", markup=False)
    return Progress(*columns, console=Console(stderr=True))


def _text(record: Mapping[str, Any]) -> str:
    if record["kind"] == "notice":
        return str(record["text"])
    shown = [f"step {record['step']}/{record['steps']}"]
    if record["kind"] == "eval":
        shown.append("held out:")
    shown += [
        f"{label} {record[key]:.{digits}f}" for key, label, digits in _SHOWN if _finite(record.get(key))
    ]
    if _finite(record.get("tokens_per_second")):
        shown.append(f"{record['tokens_per_second']:,.0f} {record.get('entries', 'tokens')}/s")
    if _finite(record.get("seconds_left")):
        shown.append(f"{_clock(record['seconds_left'])} left")
    return "  ".join(shown)


_SHOWN = (
    ("loss", "loss", 4),
    ("nll", "nll", 4),
    ("nats", "nats", 4),
    ("perplexity", "perplexity", 2),
    ("accuracy", "accuracy", 4),
    ("solver/evaluations", "evaluations", 1),
)


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


class TensorBoard:
    """TensorBoard events of a run under `tensorboard/`, written through tensorboardX.

    Raises:
      ConfigError: tensorboardX is not installed.
    """

    def __init__(self, run_dir: Path, step: int) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "tensorboard=True needs tensorboardX, which is not installed. "
                "Run pip install 'odeembed[tensorboard]', or set tensorboard to False."
            ) from error
        self._writer = SummaryWriter(str(Path(run_dir) / "tensorboard"), purge_step=step + 1)

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds the numbers of a line of metrics.jsonl."""
        for name, value in record.items():
            if name not in ("step", "kind", "seconds") and _finite(value):
                self._writer.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def close(self) -> None:
        """Flushes and closes the file of events."""
        self._writer.close()
