"""Stages that do not wait for each other: one thread makes ahead of time, another works behind."""

import contextlib
import queue
import threading

_END = object()


@contextlib.contextmanager
def made_ahead(items, size=8):
    """Yield an iterator over what a thread takes out of `items` ahead of time.

    Args:
        items: Iterator or generator; it is used, and a generator closed, in the thread alone.
        size: Items held at most.

    Raises:
        Exception: What `items` raises, in the place where its next item would have come.
    """
    waiting, stop = queue.Queue(size), threading.Event()

    def make():
        end = _END, None
        try:
            for item in items:
                if not _put(waiting, (None, item), stop):
                    break
        except BaseException as error:
            end = _END, error
        finally:
            if hasattr(items, "close"):
                items.close()
            _put(waiting, end, stop)

    def taken():
        while True:
            kind, item = waiting.get()
            if kind is not _END:
                yield item
            elif item is None:
                return
            else:
                raise item

    thread = threading.Thread(target=make, name="made ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def done_behind(function, size=8):
    """Yield a function that hands items to a thread, which calls `function` on each in turn.

    At the end of the block, what was handed over is worked through; if the block raised, it is
    dropped.

    Args:
        function: Takes one item.
        size: Items that wait at most; then handing over waits.

    Raises:
        Exception: What `function` raised, when the next item is handed over or at the end.
    """
    waiting, stop, errors = queue.Queue(size), threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                item = waiting.get(timeout=0.1)
            except queue.Empty:
                continue
            if item is _END:
                return
            try:
                function(item)
            except Exception as error:
                errors.append(error)
                stop.set()

    def hand_over(item):
        if not _put(waiting, item, stop):
            raise errors[0]

    thread = threading.Thread(target=work, name="done behind", daemon=True)
    thread.start()
    try:
        yield hand_over
        _put(waiting, _END, stop)
        thread.join()
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def _put(waiting, item, stop):
    """Put an item into a queue, and return whether it went in before the stop."""
    while not stop.is_set():
        try:
            waiting.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
