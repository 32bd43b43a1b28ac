"""Environment: the machine, the versions, the code and the data that a run was made with."""

import datetime
import functools
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("fer_lib", "keras", "tensorflow", "jax", "torch", "numpy", "scikit-learn", "pandas")


def machine():
    """Return one line that says which backend, devices and versions a run will use."""
    import keras

    backend, devices = keras.backend.backend(), ", ".join(keras.distribution.list_devices())
    return f"Keras {keras.__version__} on {backend} ({devices}), fer_lib {version('fer_lib')}"


def record(data):
    """Return what a run ran on: versions, devices, git state and the data's content hashes."""
    import keras

    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "backend": keras.backend.backend(),
        "devices": keras.distribution.list_devices(),
        "packages": {name: _version(name) for name in PACKAGES if _version(name)},
        "git": _git_state(),
        "data": {
            split: {"name": faces.name, "n": len(faces), "sha256": faces.content_hash}
            for split, faces in data.items()
        },
    }


def peak_memory():
    """Return the most bytes of memory that this process has held, or `None` on Windows."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state():
    """Return commit and whether files differ from it, or `None` outside a checkout.

    An installed copy may lie in a checkout of something else: a repository counts if this file is
    one of its own.
    """
    git = functools.partial(
        subprocess.run, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
    )
    try:
        if git(["git", "ls-files", "--error-unmatch", Path(__file__).name]).returncode:
            return None
        commit = git(["git", "rev-parse", "HEAD"]).stdout.strip()
        changed = git(["git", "status", "--porcelain", "--", "."]).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"commit": commit, "changed": bool(changed)} if commit else None
