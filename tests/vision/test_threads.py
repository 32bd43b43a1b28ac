"""Stages in threads: order, errors, early ends, and that no one waits for ever."""

import threading
import time

import pytest

from fer_lib.vision.threads import done_behind, made_ahead


def test_items_come_in_order_and_ahead_of_time():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    with made_ahead(items(), size=4) as ahead:
        assert next(ahead) == 0
        deadline = time.monotonic() + 5
        while len(made) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert 5 <= len(made) <= 7  # not all: what waits is bounded
        assert list(ahead) == list(range(1, 20))


def test_an_error_comes_in_its_place():
    def items():
        yield 1
        raise OSError("gone")

    with made_ahead(items()) as ahead:
        assert next(ahead) == 1
        with pytest.raises(OSError, match="gone"):
            next(ahead)


def test_leaving_early_ends_the_thread_and_closes_the_generator():
    closed = threading.Event()

    def items():
        try:
            yield from range(10**9)
        finally:
            closed.set()

    with made_ahead(items(), size=2) as ahead:
        next(ahead)
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name == "made ahead"]


def test_everything_handed_over_is_done_in_order():
    done = []
    with done_behind(done.append, size=2) as hand_over:
        for number in range(30):
            hand_over(number)
    assert done == list(range(30))


def test_an_error_behind_is_raised_at_the_end_at_the_latest():
    def fail(item):
        raise OSError(f"no space for {item}")

    with pytest.raises(OSError, match="no space for 0"):
        with done_behind(fail) as hand_over:
            for number in range(10**6):
                hand_over(number)
    with pytest.raises(OSError, match="no space for 7"):
        with done_behind(fail) as hand_over:
            hand_over(7)


def test_a_block_that_raises_drops_what_waits():
    begun, go, done = threading.Event(), threading.Event(), []

    def work(item):
        begun.set()
        go.wait(5)
        done.append(item)

    with pytest.raises(KeyboardInterrupt):
        with done_behind(work) as hand_over:
            hand_over(1)
            hand_over(2)
            begun.wait(5)
            threading.Timer(0.2, go.set).start()
            raise KeyboardInterrupt
    assert done == [1]
