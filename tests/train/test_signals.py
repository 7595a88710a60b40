import os
import signal
import threading

import pytest

from odeembed.train.signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_the_first_signal_is_noted_and_the_second_does_what_it_did_before(number):
    seen = []
    before = signal.signal(number, lambda *arguments: seen.append(number))
    try:
        with StopSignals() as signals:
            assert signals.name is None
            os.kill(os.getpid(), number)
            assert signals.name == signal.Signals(number).name and not seen
            os.kill(os.getpid(), number)
            assert seen == [number]
    finally:
        signal.signal(number, before)


def test_handlers_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_runs_without_handlers():
    names = []

    def work():
        with StopSignals() as signals:
            names.append(signals.name)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert names == [None]
