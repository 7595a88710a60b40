"""Stop signals: the first asks a run to save and stop, the second ends it at once."""

import signal
import threading
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """While entered, the first SIGTERM, SIGINT or SIGUSR1 sets `name`; the second does what it did before.

    Outside the main thread, where Python allows no handlers, it does nothing.

    Attributes:
      name: the signal that came, None before.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        self._give_back()

    def _stop(self, number: int, frame: object) -> None:
        self.name = signal.Signals(number).name
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
