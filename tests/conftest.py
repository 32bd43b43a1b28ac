"""What every test gets: its own FER_HOME, closed figures, and the real data where it is."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("FER_SHARED", ROOT.parent / "shared"))


@pytest.fixture(autouse=True)
def fer_home(tmp_path, monkeypatch):
    """A FER_HOME of the test's own, so that no test sees the user's data."""
    monkeypatch.setenv("FER_HOME", str(tmp_path / "fer_home"))
    return tmp_path / "fer_home"


@pytest.fixture(autouse=True)
def close_figures():
    """Close what a test drew."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def on_jax(tmp_path_factory):
    """The environment of a process on JAX that compiles quickly, and nothing twice."""
    pytest.importorskip("jax")
    compiled = tmp_path_factory.getbasetemp() / "jax"
    return os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


@pytest.fixture(scope="session")
def shared():
    """The folder of real data, weights and peers' models; the test is skipped without it."""
    if not (SHARED / "tools" / "unpack_data.py").exists():
        pytest.skip("the shared real data is not on this machine (FER_SHARED names its folder)")
    return SHARED


@pytest.fixture(scope="session")
def real_data(shared, tmp_path_factory):
    """A folder with FER-2013 (CSV, ICML CSV, class folders), FER+ and CK+48, written once."""
    folder = tmp_path_factory.getbasetemp().parent / "real_data"
    done = folder / "done"
    if not done.exists():  # with pytest-xdist the workers share the parent folder
        temporary = tmp_path_factory.mktemp("real") / "data"
        subprocess.run([sys.executable, shared / "tools" / "unpack_data.py", temporary], check=True)
        (temporary / "done").touch()
        try:
            temporary.rename(folder)
        except OSError:  # another worker was first
            pass
    return folder


@pytest.fixture(scope="module")
def tiny():
    """The name of a backbone that trains in seconds, a key of BACKBONES while the module runs."""
    from tiny_backbone import installed

    with installed() as name:
        yield name


@pytest.fixture
def tiny_in_kernels(tmp_path, monkeypatch):
    """The name of the tiny backbone, known to notebooks by a file that their kernels run first."""
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "tiny.py").write_text("__import__('tiny_backbone').install()\n")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"), prepend=os.pathsep)
    return "tiny"


@pytest.fixture(scope="session")
def tiny_faces():
    """Synthetic faces, few enough to train on in a test: `{"train", "validation", "test"}`."""
    from fer_lib import synthetic

    counts = {"train": 210, "validation": 140, "test": 140}
    return {
        split: dataclasses.replace(synthetic.make_faces(n, seed=seed), name=f"synthetic {split}")
        for seed, (split, n) in enumerate(counts.items())
    }


def write_fer2013_csv(path, per_class=24):
    """Write synthetic faces as a small fer2013.csv with Training and PublicTest rows."""
    from fer_lib.synthetic import make_faces

    faces = make_faces(7 * per_class, seed=1)
    rows = ["emotion,pixels,Usage"]
    for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        usage = "PublicTest" if number % 4 == 0 else "Training"
        rows.append(f"{label},{' '.join(map(str, image.ravel()))},{usage}")
    path.write_text("\n".join(rows) + "\n")
    return path
