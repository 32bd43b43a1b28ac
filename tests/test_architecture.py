"""The architecture: imports point one way, modules stay small and explain themselves."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import fer_lib

FOLDER = Path(fer_lib.__file__).parent
# By dotted name; a package's own __init__ goes by the package's name (and "__init__" is fer_lib's).
FILES = {
    ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(FOLDER.rglob("*.py"))
}
MODULES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}
BACKENDS = {"tensorflow", "jax", "torch"}

# What reads, splits and describes data knows nothing of what is made of it.
DATA = {
    "emotions",
    "storage",
    "faces",
    "archives",
    "cache",
    "class_folders",
    "image_files",
    "path_tables",
    "readers",
    "synthetic",
    "duplicates",
    "splits",
    "datasets",
}
LEARNING = {
    "models",
    "backbones",
    "networks",
    "attention",
    "complexity",
    "pretrained",
    "augmentation",
    "litert",
    "prefix_cache",
    "checkpoints",
    "feed",
    "mixing",
    "targets",
    "optimizers",
    "devices",
    "training",
}
ABOVE_DATA = {
    *LEARNING,
    "metrics",
    "confusion",
    "bootstrap",
    "calibration",
    "one_vs_rest",
    "views",
    "ensembles",
    "exploration",
    "label_quality",
    "additions",
    "pitfalls",
    "activation_maps",
    "explain",
    "peers",
    "cross_dataset",
    "experiment",
    "runs",
    "publish",
    "runner",
    "plots",
    "export",
    "model_card",
    "meaning",
    "predictor",
    "audit",
    "checks",
    "model_checks",
    "significance",
    "detection",
    "photos",
    "tracking",
    "recognition",
    "part_file",
    "pipeline",
    "video",
    "webcam",
    "page",
    "episodes",
    "synthetic_clip",
    "benchmark",
    "grid",
    "locks",
    "point",
    "sweep",
    "slurm",
    "distribution",
    "distillation",
    "__main__",
}


def imported(tree):
    """The dotted names that a syntax tree imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_module_level(tree):
    """The names that importing the module imports: not those inside functions."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            methods = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef)]
            inside = {id(inner) for method in methods for inner in ast.walk(method)}
            nodes = [n for n in ast.walk(node) if id(n) not in inside]
            yield from imported(ast.Module([n for n in nodes if "Import" in type(n).__name__], []))


def own(tree):
    """The modules of fer_lib that a module imports, anywhere: the longest name of each import."""
    names = [name.removeprefix("fer_lib.") for name in imported(tree) if name[:8] == "fer_lib."]
    heads = [name if name in MODULES else name.rpartition(".")[0] for name in names]
    return {name for name in heads if name in MODULES}


def top(name):
    """The top-level name, by which layers are ruled: of `datasets.fer2013`, `datasets`."""
    return name.partition(".")[0]


NEEDS = {name: own(tree) for name, tree in MODULES.items()}


def everything_below(name):
    found, waiting = set(), [name]
    while waiting:
        new = NEEDS[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return {part for module in found for part in (module, top(module))}


def test_the_parser_sees_imports_wherever_they_are():
    tree = ast.parse(
        "import a.b\nfrom fer_lib import faces as f, splits\nif x:\n    import c\n"
        "def g():\n    from fer_lib.models import build\n    import d\n"
        "class K:\n    import e\n    def h(self):\n        import i\n"
    )
    assert own(tree) == {"faces", "splits", "models"}
    top = set(at_module_level(tree))
    assert top == {"a.b", "fer_lib.faces", "fer_lib.splits", "c", "e"}


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_a_backend_or_the_downloader_when_it_is_imported(name):
    heavy = {package.split(".")[0] for package in at_module_level(MODULES[name])}
    assert not heavy & (BACKENDS | {"kagglehub"})


@pytest.mark.parametrize("name", sorted(name for name in MODULES if top(name) in DATA))
def test_what_reads_data_knows_nothing_of_models(name):
    assert not everything_below(name) & ABOVE_DATA
    assert "keras" not in {package.split(".")[0] for package in imported(MODULES[name])}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if top(name) in LEARNING))
def test_what_trains_knows_nothing_of_experiments_runs_and_figures(name):
    assert not everything_below(name) & {"experiment", "runs", "runner", "plots", "datasets"}


@pytest.mark.parametrize("name", ["metrics", "plots"])
def test_what_scores_and_draws_knows_nothing_of_training(name):
    assert not everything_below(name) & (LEARNING | {"experiment", "runs", "runner", "datasets"})


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__main__"])
def test_nothing_imports_the_command_line(name):
    assert "__main__" not in NEEDS[name]


def test_imports_go_in_no_circle():
    graphlib.TopologicalSorter(NEEDS).prepare()  # raises CycleError


@pytest.mark.parametrize("name", MODULES)
def test_only_the_experiment_s_own_modules_know_it(name):
    below = LEARNING | DATA | {"metrics", "plots"}
    if top(name) in below:
        assert "Experiment" not in {
            n.id for n in ast.walk(MODULES[name]) if isinstance(n, ast.Name)
        }


def modules_after(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_nothing_heavy():
    heavy = BACKENDS | {"keras", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "seaborn"}
    assert not modules_after("import fer_lib") & heavy


def test_reading_data_and_results_loads_no_keras():
    loaded = modules_after(
        "from fer_lib import datasets, experiment, metrics, readers, runs, splits, synthetic"
    )
    assert "numpy" in loaded and not loaded & (BACKENDS | {"keras", "matplotlib", "sklearn"})


def public(tree, prefix=""):
    for node in getattr(tree, "body", []):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{node.name}.")


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_is_explained(name):
    assert ast.get_docstring(MODULES[name])
    silent = [n for n, node in public(MODULES[name]) if not ast.get_docstring(node)]
    assert not silent, f"no docstring in {name}: {silent}"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_at_most_400_lines(name):
    lines = FILES[name].read_text("utf-8").count("\n")
    assert lines <= 400, f"{name} has {lines} lines: it wants to be two"


@pytest.mark.parametrize("name", MODULES)
def test_the_library_neither_asserts_nor_prints(name):
    nodes = list(ast.walk(MODULES[name]))
    assert not any(isinstance(node, ast.Assert) for node in nodes)
    prints = [n for n in nodes if isinstance(n, ast.Name) and n.id == "print"]
    assert not prints or name == "__main__"


def test_there_is_no_module_for_everything_else():
    assert not {"utils", "helpers", "config", "base", "common", "misc"} & {
        part for name in MODULES for part in name.split(".")
    }


def test_every_module_has_its_tests():
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    untested = {name.rpartition(".")[2].strip("_") for name in MODULES} - tests - {"init"}
    parts = dict.fromkeys(("archives", "cache", "class_folders", "image_files"), "readers")
    parts |= dict.fromkeys(("cards", "fer2013", "usage"), "datasets")
    parts |= dict.fromkeys(("ckplus", "files"), "folders")
    parts |= dict.fromkeys(("curves", "drawing", "scores"), "plots")
    parts |= dict.fromkeys(("pitfall", "trainings", "rows", "faults", "reporting"), "pitfalls")
    parts["predictor"] = "export"
    parts["data"] = "plots_data"
    parts |= dict.fromkeys(("point", "slurm"), "sweep")
    parts |= {"synthetic_clip": "live_emotions", "meaning": "page"}
    assert all(parts.get(name) in tests for name in untested), untested
