"""The architecture: wings that import only downward, and modules that explain themselves."""

import ast
import subprocess
import sys
from pathlib import Path

import fer_lib
from support import structure

FOLDER = Path(fer_lib.__file__).parent
# By dotted name; a package's own __init__ goes by the package's name (and "__init__" is fer_lib's).
FILES = structure.modules(FOLDER)
MODULES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}
BACKENDS = {"tensorflow", "jax", "torch"}
HEAVY = BACKENDS | {"keras", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "seaborn"}

# Lowest first: a wing imports from lower floors alone.
FLOORS = (
    ("choices", "storage", "screen"),
    ("emotions",),
    ("evaluation", "models", "data", "plots"),
    ("inference",),
    ("training",),
    ("experiments", "vision"),
    ("sweeps", "audit"),
    ("__main__",),
)
FLOOR = {wing: number for number, wings in enumerate(FLOORS) for wing in wings}


def at_module_level(tree):
    """The names that importing the module imports: not those inside functions."""
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
    }
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    yield from structure.imported(ast.Module([n for n in nodes if id(n) not in inside], []))


NEEDS = structure.needs(FILES)


def wing(name):
    return name.partition(".")[0]


def modules_after(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def public(tree, prefix=""):
    for node in getattr(tree, "body", []):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{node.name}.")


def test_the_parser_sees_imports_wherever_they_are():
    tree = ast.parse(
        "import a.b\nfrom fer_lib.data import faces as f, splits\nif x:\n    import c\n"
        "def g():\n    from fer_lib.models.classifier import build\n    import d\n"
        "class K:\n    import e\n    def h(self):\n        import i\n"
    )
    assert structure.own(tree, FILES) == {"data.faces", "data.splits", "models.classifier"}
    top = set(at_module_level(tree))
    assert top == {"a.b", "fer_lib.data.faces", "fer_lib.data.splits", "c", "e"}


def test_wings_import_only_downward_and_files_in_no_circle():
    upward = {
        f"{name} -> {needed}"
        for name, needs in NEEDS.items()
        for needed in needs
        if wing(name) != wing(needed) and FLOOR[wing(name)] <= FLOOR[wing(needed)]
    }
    assert not upward
    assert structure.floors(NEEDS), "files import one another in a circle"
    assert 1 < structure.floors(structure.arrows(NEEDS)) <= len(FLOORS)


def test_every_module_stands_in_a_wing():
    top = {name for name in MODULES if "." not in name and FILES[name].name != "__init__.py"}
    assert top <= {*FLOORS[0], *FLOORS[1], "__main__"}
    vague = {"utils", "helpers", "config", "base", "common", "misc"}
    assert not vague & {part for name in MODULES for part in name.split(".")}


def test_no_module_imports_a_backend_or_the_downloader_when_it_is_imported():
    for name, tree in MODULES.items():
        heavy = {package.split(".")[0] for package in at_module_level(tree)}
        assert not heavy & (BACKENDS | {"kagglehub"}), name


def test_importing_loads_nothing_that_is_not_needed():
    assert not modules_after("import fer_lib") & HEAVY
    loaded = modules_after(
        "from fer_lib.data import catalogue, splits, synthetic\n"
        "from fer_lib.evaluation import metrics\n"
        "from fer_lib.experiments import experiment, runs\n"
        "from fer_lib.inference import predictor"
    )
    assert "numpy" in loaded and not loaded & (BACKENDS | {"keras", "matplotlib", "sklearn"})


def test_the_library_is_explained_short_and_silent():
    for name, tree in MODULES.items():
        assert ast.get_docstring(tree), f"{name} has no docstring"
        silent = [n for n, node in public(tree) if not ast.get_docstring(node)]
        assert not silent, f"no docstring in {name}: {silent}"
        lines = FILES[name].read_text("utf-8").count("\n")
        assert lines <= 400, f"{name} has {lines} lines: it wants to be two"
        nodes = list(ast.walk(tree))
        assert not any(isinstance(node, ast.Assert) for node in nodes), name
        prints = [n for n in nodes if isinstance(n, ast.Name) and n.id == "print"]
        assert not prints or name == "__main__", name
        if FLOOR.get(wing(name), 9) < FLOOR["experiments"]:
            names = {n.id for n in nodes if isinstance(n, ast.Name)}
            assert "Experiment" not in names, f"{name} knows Experiment"
