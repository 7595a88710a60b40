"""Stop signals: the first asks a run to save and stop, the second ends it at once."""

import signal
import threading
from typing import Any

from odeembed.train import cluster

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """While entered, the first SIGTERM, SIGINT or SIGUSR1 sets `name`; the second does what it did before.

    Outside the main thread, where Python allows no handlers, it does nothing. Of several processes JAX keeps SIGTERM to
    itself, see `odeembed.train.cluster.preempted`.

    Attributes:
      name: the signal that came to this process, None before.
      stop: whether the run is to stop: with several processes only once they have agreed.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.stop = False
        self._before: dict[int, Any] = {}

    def agree(self, name: str | None = None) -> None:
        """Stops if a signal has come to any process, or if all know already that one has come."""
        self.name = self.name or name
        self.stop = self.stop or cluster.any_of(self.name is not None)

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            own = [number for number in _SIGNALS if number != signal.SIGTERM or not cluster.several()]
            self._before = {number: signal.signal(number, self._stop) for number in own}
        return self

    def __exit__(self, *error: object) -> None:
        self._give_back()

    def _stop(self, number: int, frame: object) -> None:
        self.name = signal.Signals(number).name
        self.stop = not cluster.several()
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
