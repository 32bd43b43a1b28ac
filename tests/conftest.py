"""What every test gets: its own FER_HOME, closed figures, and the real data where it is."""

import dataclasses
import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from support.places import ROOT, SHARED

matplotlib.use("Agg")
# As `import fer_lib` does: a process that imports Keras first must compute the same bits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# A grammar that jsonschema takes if it is there, and that no notebook needs: 2.4 s for each import.
sys.modules.setdefault("rfc3987_syntax", None)


def pytest_addoption(parser):
    parser.addoption("--run-slow", action="store_true", help="run the tests marked slow, too")


def pytest_itemcollected(item):
    if "real_data" in item.fixturenames:  # unpacking it takes 40 s
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--run-slow"):
        skip = pytest.mark.skip(reason="slow: pytest --run-slow runs it")
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def fer_home(request, tmp_path, tmp_path_factory, monkeypatch):
    """A FER_HOME of the test's own, so that no test sees the user's data."""
    home = tmp_path / "fer_home"
    monkeypatch.setenv("FER_HOME", str(home))
    if "real_data" in request.fixturenames:  # which is parsed once for all tests
        parsed = tmp_path_factory.getbasetemp() / "parsed"
        parsed.mkdir(exist_ok=True)
        home.mkdir()
        (home / "cache").symlink_to(parsed)
    return home


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
    from support.tiny_backbone import installed

    with installed() as name:
        yield name


@pytest.fixture
def tiny_in_kernels(tmp_path, monkeypatch):
    """The name of the tiny backbone, known to notebooks by a file that their kernels run first."""
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "tiny.py").write_text(
        "__import__('support.tiny_backbone', fromlist=['x']).install()\n"
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"), prepend=os.pathsep)
    return "tiny"


@pytest.fixture(scope="session")
def tiny_faces():
    """Synthetic faces, few enough to train on in a test: `{"train", "validation", "test"}`."""
    from fer_lib.data import synthetic

    counts = {"train": 210, "validation": 140, "test": 140}
    return {
        split: dataclasses.replace(synthetic.make_faces(n, seed=seed), name=f"synthetic {split}")
        for seed, (split, n) in enumerate(counts.items())
    }
