import threading
import time

import pytest

from odeembed.train.prefetch import prefetch


def test_items_come_in_order_and_each_once():
    made = []
    assert list(prefetch(lambda n: made.append(n) or n * n, 3, 9)) == [9, 16, 25, 36, 49, 64]
    assert made == list(range(3, 9))


def test_no_more_than_two_are_made_ahead():
    made = []
    items = prefetch(lambda n: made.append(n) or n, 0, 100)
    next(items)
    time.sleep(0.2)
    assert len(made) <= 1 + 2 + 1  # taken, ready, and the one waiting for room
    items.close()


def test_an_error_in_the_thread_is_raised_where_the_item_is_asked_for():
    def make(n):
        if n == 2:
            raise OSError("the disk is gone")
        return n

    items = prefetch(make, 0, 5)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)


def test_the_thread_has_ended_when_the_iterator_is_closed():
    items = prefetch(lambda n: n, 0, 10**9)
    next(items)
    items.close()
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
