"""Files of runs: the folders that hold them, and what of them is not as it was written."""

import os
from pathlib import Path

from fer_lib import storage


def run_folders(results_dir, pattern="*"):
    """Return the folders of runs below a folder, sorted, among them links to such folders.

    What lies in a run is not searched.

    Args:
        results_dir: Folder of runs, or of folders of runs.
        pattern: What the run folders' names must match.
    """
    found = []
    for folder, within, files in os.walk(results_dir):
        if "experiment.json" in files and folder != os.fspath(results_dir):
            within.clear()
            found.append(folder)
        links = [path for path in (os.path.join(folder, n) for n in within) if os.path.islink(path)]
        found += [path for path in links if os.path.exists(f"{path}/experiment.json")]
    return sorted(path for path in map(Path, found) if path.match(pattern))


def check_files(folder, recorded):
    """Raise `ValueError` if a file of a run is not the one that it was scored with.

    Args:
        folder: The run's folder.
        recorded: Dict of sha256 by file name, of `environment.json`. What is not there any more
            is not asked for.
    """
    for name, digest in recorded.items():
        path = Path(folder, name)
        if path.exists() and storage.file_hash(path) != digest:
            raise ValueError(
                f"{path} is not the file that the run wrote, by the sha256 in environment.json: "
                "restore what was changed, or move the run's folder away and run again."
            )


def holding(content, *names):
    """Return what was read from a file if it holds these names."""
    if not hasattr(content, "keys"):
        raise ValueError(f"it holds {type(content).__name__}, not names with values")
    if missing := [name for name in names if name not in content]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return content
