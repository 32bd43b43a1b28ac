"""The front door: what `import fer_lib` shows, and what must work without reading further."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import fer_lib
from fer_lib.data.synthetic import make_faces
from support.places import ROOT, write_fer2013_csv

NAMES = {
    *("load_dataset", "describe", "Faces", "build_classifier", "BACKBONES"),
    *("Experiment", "run", "find_runs", "load_run", "load_predictor", "recognise"),
}
WINGS = {path.parent.name for path in Path(fer_lib.__file__).parent.glob("*/__init__.py")}
PACKAGES = ["fer_lib"] + [
    found.name for found in pkgutil.walk_packages(fer_lib.__path__, "fer_lib.") if found.ispkg
]
DOORS = [name for name in PACKAGES if Path(importlib.import_module(name).__file__ + "i").exists()]


def stub_names(package):
    """`{name: module}` of a package's stub."""
    tree = ast.parse(Path(f"{package.__file__}i").read_text("utf-8"))
    froms = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname: node.module for node in froms for alias in node.names}


def test_the_package_opens_at_once_and_shows_a_dozen_names_and_the_wings():
    code = (
        "import sys, time; start = time.process_time(); import fer_lib\n"
        "seconds = time.process_time() - start; names = dir(fer_lib)\n"
        "print(seconds, 'numpy' in sys.modules, *names)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, numpy, *names = done.stdout.split()
    assert float(seconds) < 0.1 and numpy == "False"
    assert set(names) == NAMES | WINGS


@pytest.mark.parametrize("given", [None, "0"])
def test_tensorflow_is_asked_for_onednn_unless_the_user_says_no(given, monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if given is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", given)
    code = "import fer_lib, os; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (given or "1")


def test_help_is_there_without_waiting_for_keras():
    code = (
        "import pydoc, sys, time; start = time.process_time(); import fer_lib\n"
        "text = pydoc.render_doc(fer_lib, renderer=pydoc.plaintext)\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch', 'matplotlib', 'cv2', 'sklearn', 'scipy'}\n"
        "print(time.process_time() - start, sorted(heavy & set(sys.modules))); print(text)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, text = done.stdout.split("\n", 1)
    seconds, heavy = first.split(" ", 1)
    assert heavy == "[]" and float(seconds) < 3  # pandas is most of it
    for name in NAMES | WINGS:
        assert re.search(rf"^ +{name}  +\w", text, flags=re.M), name


@pytest.mark.parametrize("name", DOORS)
def test_a_door_holds_what_its_stub_says(name):
    package = importlib.import_module(name)
    shown = stub_names(package)
    assert dir(package) == sorted(shown) == sorted(package.__all__)
    for attribute, module in shown.items():
        found = getattr(package, attribute)
        if module is None:
            assert inspect.ismodule(found)
        else:
            assert found is getattr(importlib.import_module(f"{name}.{module}"), attribute)
        modules = {of.name for of in pkgutil.iter_modules(package.__path__)}
        assert module is None or attribute not in modules, f"{attribute} bears a module's name"


@pytest.mark.parametrize("name", PACKAGES[1:])
def test_a_package_lists_its_modules_one_line_each(name):
    package = importlib.import_module(name)
    listed = re.findall(r"^(\w+)  +\S", package.__doc__, flags=re.M)
    modules = [found.name for found in pkgutil.iter_modules(package.__path__)]
    wrong = set(listed) ^ set(modules)
    assert not wrong, f"the list at the top of {package.__file__} lacks, or has too many: {wrong}"


def test_the_front_door_explains_each_name_and_each_wing():
    lines = [line.split() for line in fer_lib.__doc__.splitlines() if line.startswith("    ")]
    assert {words[0] for words in lines} == NAMES | WINGS


def test_the_functions_of_the_door_carry_type_hints():
    for name in NAMES:
        found = getattr(fer_lib, name)
        if inspect.isfunction(found):
            parameters = inspect.signature(found).parameters.values()
            bare = [p.name for p in parameters if p.annotation is p.empty]
            assert not bare, f"{name}: {bare}"
            assert inspect.signature(found).return_annotation is not inspect.Signature.empty
    assert (Path(fer_lib.__file__).parent / "py.typed").exists()


@pytest.mark.slow
def test_five_lines_in_a_fresh_python(tmp_path):
    write_fer2013_csv(tmp_path / "faces.csv")
    Image.fromarray(make_faces(1, seed=0).images[0]).save(tmp_path / "face.png")
    code = (
        "import fer_lib\n"
        "print(len(fer_lib.recognise('face.png')))\n"
        "data = fer_lib.load_dataset('faces.csv'); print(data)\n"
        "model = fer_lib.build_classifier('tiny', unfreeze='100', weights=None)\n"
        "asked = fer_lib.Experiment(\n"
        "    dataset='faces.csv', backbone='tiny', weights=None, epochs=1)\n"
        "run = fer_lib.run(asked)\n"
        "ax = fer_lib.plots.plot_confusion(run.scores['test']['confusion'], run.label_set)\n"
        "print(fer_lib.load_run(run.folder) == run, len(ax.get_xticklabels()))"
    )
    tiny = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
    tiny += "from support import tiny_backbone; tiny_backbone.install()\n"
    command = [sys.executable, "-c", tiny + code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    faces, *shown, last = done.stdout.splitlines()
    assert faces == "1" and "train: faces.csv Training" in shown[0] and len(shown) < 30
    assert last == "True 7"
