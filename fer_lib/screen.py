"""What a screen shows: a bar where somebody watches, sentences, and no library's own log."""

import importlib.util
import os
import sys
import threading

_ONE_AT_A_TIME = threading.RLock()  # two threads would each keep the other's stderr


def progress(items=None, text=None, **options):
    """Return a progress bar, which shows itself only where somebody watches.

    In a terminal and in a notebook that is open it comes after two seconds and goes when it is
    done. In a log or a notebook that is carried out by papermill it writes nothing.

    Args:
        items: What is gone through, or `None` where `update` tells how far the work is.
        text: What the work is.
        **options: Go to `tqdm.auto.tqdm`.
    """
    import warnings

    from tqdm import TqdmExperimentalWarning, std

    settings = {"desc": text, "delay": 2, "leave": False}
    if not watched():
        # It counts all the same: who asks it how far the work is gets an answer.
        return std.tqdm(items, **settings | options | {"file": _Nowhere()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmExperimentalWarning)
        from tqdm.auto import tqdm
    return tqdm(items, **settings | options)


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, text):
        """Take a text."""

    def flush(self):
        """Do nothing."""


def watched():
    """Return whether somebody sees the output as it comes: in a terminal or an open notebook."""
    # Set by Jupyter's server, VS Code and Colab for the kernels of notebooks that they show.
    names = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
    return sys.stderr.isatty() or any(name in os.environ for name in names)


def silence_tensorflow():
    """Keep back what TensorFlow's libraries write about processors and GPUs when it is imported.

    Before TensorFlow is imported; afterwards only its later messages are fewer.
    """
    import logging

    # In a notebook TensorFlow prints its warnings, whatever level its logger has.
    logging.getLogger("tensorflow").addFilter(_is_error)
    # The first covers most of it. The rest is written before any setting is read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _SilentImport())


def _is_error(record):
    return record.levelno >= 40  # logging.ERROR


def prepare_notebook():
    """Keep TensorFlow's log out of a notebook, and show warnings as sentences, not in red."""
    import warnings

    silence_tensorflow()
    warnings.showwarning = lambda message, *_, **__: sys.stdout.write(f"Note: {message}\n")


def speak_plainly():
    """Show warnings as sentences, and names of files that the terminal cannot write escaped."""
    import warnings

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a notebook or a test has replaced it
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = lambda message, *_, **__: f"fer_lib: {message}\n"


class _SilentImport:
    """Finder of TensorFlow, for `sys.meta_path`: it is imported without its libraries' log."""

    def find_spec(self, name, path=None, target=None):
        """Find TensorFlow, and nothing else."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        if spec := importlib.util.find_spec(name):
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: without_stderr(load, module)
        return spec


def without_stderr(function, *words):
    """Return what a function returns, and keep back what native libraries write meanwhile.

    Args:
        function: What is called; its exceptions come through.
        *words: What it is called with.
    """
    with _ONE_AT_A_TIME, open(os.devnull, "wb") as nowhere, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(nowhere.fileno(), 2)
        try:
            return function(*words)
        finally:
            os.dup2(stderr.fileno(), 2)
