"""The wheel: what is in it, and that it works from an empty folder, without the checkout."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.places import ROOT, write_fer2013_csv

pytestmark = pytest.mark.slow

# One process, so that Keras is imported once: commands as from a shell, and Python's own door.
USE = """
import sys
from pathlib import Path
import fer_lib
from PIL import Image
from fer_lib.__main__ import main

where = Path(fer_lib.__file__).parent
assert where.is_relative_to(sys.prefix), where
assert main(["describe", "fer2013"]) == 0
faces = fer_lib.load_dataset("faces.csv")
Image.fromarray(faces["test"].images[0]).save("face.png")
assert main(["predict", "face.png", "--out", "table.csv"]) == 0
asked = fer_lib.Experiment(
    dataset="faces.csv", backbone="mobilenet", alpha=0.25, unfreeze="top", weights=None, epochs=1
)
run = fer_lib.run(asked)
assert main(["runs"]) == 0
words = ["--to", "exported", "--name", "small", "--formats", "keras", "litert"]
status = main(["export", str(run.folder), *words])
print(*sorted(path.name for path in Path("exported").glob("*")))
# Only a sweep needs what a wheel does not hold, and says so.
assert main(["sweep", "dataset=synthetic", "weights=None"]) == 1
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the checkout, so that nothing is left in it."""
    if int(importlib.metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("setuptools is older than 77, which pyproject.toml asks for")
    copy = tmp_path_factory.mktemp("checkout")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fer_lib", copy / "fer_lib", ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    words = ["wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "-w", "dist"]
    command = [sys.executable, "-m", "pip", *words]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next((copy / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Python of an environment that holds the wheel and sees the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    found = folder / "bin" / "python"
    site = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.check_output([found, "-c", site], text=True).strip())
    # Plain lines: what they name is seen, but not the .pth files in it (an editable install's).
    seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(seen) + "\n")
    install = ["install", "--no-deps", "--no-index", "--ignore-installed", wheel]
    command = [sys.executable, "-m", "pip", "--python", found, *install]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return found


def environment(tmp_path):
    """Variables of a user who has nothing of the checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FER_"))}
    return kept | {"FER_HOME": str(tmp_path / "home")}


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    kept = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "fer_lib").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == kept - {"fer_lib/README.md"}
    assert {"fer_lib/py.typed", "fer_lib/__init__.pyi", "fer_lib/data/__init__.pyi"} <= packed


def test_the_installed_command_answers(python, tmp_path):
    done = subprocess.run(
        [python.with_name("fer"), "--version"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "") and "fer_lib, version" in done.stdout


def test_the_wheel_trains_predicts_and_exports_from_an_empty_folder(python, tmp_path):
    write_fer2013_csv(tmp_path / "faces.csv")
    done = subprocess.run(
        [python, "-c", USE], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Licence" in done.stdout
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 2
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "scores.json").read_text())["test"]["n"] == 42
    assert {"small.keras", "small.tflite"} <= set(done.stdout.split())
    assert "There is no notebook" in done.stderr
