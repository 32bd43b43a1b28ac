"""Kills in this process: from a moment on nothing is written any more, as if it had ended."""

import contextlib
import os
import sys

CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}


class Killed(BaseException):
    """Comes in place of a kill."""


@contextlib.contextmanager
def killed_at(step, folder):
    """Raise `Killed` before one more file or folder below a folder is made, renamed or deleted.

    What runs after it, such as the end of a `with` block, changes nothing either: the files lie
    as a kill would have left them.

    Args:
        step: How many changes come before.
        folder: Folder.

    Yields:
        List of the changes so far, words.
    """
    done = []
    _watched[:] = [(step, f"{os.path.abspath(folder)}{os.sep}", done)]
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_look)  # which cannot be taken away
    try:
        yield done
    finally:
        _watched.clear()


_watched, _hooked = [], []


def is_change(event, args):
    """Return whether an audit event changes a file or folder by its name."""
    opened = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wxa+")
    return (opened or event in CHANGES) and isinstance(args[0], str | os.PathLike)


def _look(event, args):
    for step, folder, done in _watched:
        if is_change(event, args) and os.path.abspath(args[0]).startswith(folder):
            if len(done) >= step:
                raise Killed
            done.append(f"{event} {args[0]}")
