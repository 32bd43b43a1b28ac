"""How the library is built, in numbers: python tests/support/structure.py [folder ...]

A folder is one that holds `fer_lib`, such as another checkout; this one by default. Each has a
column: modules that stand in no wing, wings, floors (the longest chain of wings that import one
another; "None" for a circle), arrows between wings, the longest chain of files, modules and lines.
"""

import ast
import functools
import graphlib
import sys
import tokenize
from pathlib import Path

FRONT = {"__init__", "__main__"}  # the doors: everything stands below them


def modules(package):
    """Return `{dotted name: path}` of a package's files; a folder goes by its own name."""
    paths = sorted(package.rglob("*.py"))
    names = [".".join(path.relative_to(package).with_suffix("").parts) for path in paths]
    return dict(zip([name.removesuffix(".__init__") for name in names], paths, strict=True))


def imported(tree):
    """Yield the dotted names that a syntax tree imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(tree, known):
    """Return which of the known modules of fer_lib a tree imports: the longest name of each."""
    names = [name.removeprefix("fer_lib.") for name in imported(tree) if name[:8] == "fer_lib."]
    return {name if name in known else name.rpartition(".")[0] for name in names} & set(known)


def needs(files):
    """Return `{name: names}`: which modules each imports."""
    trees = {name: ast.parse(path.read_text("utf-8")) for name, path in files.items()}
    return {name: own(tree, files) for name, tree in trees.items()}


def arrows(needed):
    """Return `{wing: wings}` of what `needs` returned, without the doors."""
    wings = {}
    for name, others in needed.items():
        wing = name.partition(".")[0]
        below = {other.partition(".")[0] for other in others} - {wing} - FRONT
        wings.setdefault(wing, set()).update(below)
    return {wing: below for wing, below in wings.items() if wing not in FRONT}


def floors(graph):
    """Return how many nodes stand on one another at most, or `None` where there is a circle."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError:
        return None

    @functools.cache
    def height(node):
        return 1 + max((height(below) for below in graph[node]), default=0)

    return max(map(height, graph))


def lines_of_code(path):
    """Return how many lines hold code: no blank line, comment or docstring."""
    with tokenize.open(path) as file:
        tree = ast.parse(file.read())
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [n.body[0] for n in ast.walk(tree) if isinstance(n, nodes) and ast.get_docstring(n)]
    told = {row for text in texts for row in range(text.lineno, text.end_lineno + 1)}
    quiet = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    with path.open("rb") as file:
        tokens = [t for t in tokenize.tokenize(file.readline) if t.type not in quiet][1:-1]
    rows = {row for token in tokens for row in range(token.start[0], token.end[0] + 1)}
    return len(rows - told)


def count(folder):
    """Return the numbers of the library in a folder as a dict."""
    files = modules(Path(folder) / "fer_lib")
    needed = needs(files)
    graph = arrows(needed)
    top = [name for name, path in files.items() if "." not in name and path.stem != "__init__"]
    return {
        "modules at the top": len(top),
        "wings": sum(path.stem == "__init__" and "." not in n for n, path in files.items()) - 1,
        "floors": floors(graph),
        "arrows between wings": sum(map(len, graph.values())),
        "files on one another": floors(needed),
        "modules": len(files),
        "lines": sum(path.read_text("utf-8").count("\n") for path in files.values()),
        "lines of code": sum(map(lines_of_code, files.values())),
    }


if __name__ == "__main__":
    folders = sys.argv[1:] or [Path(__file__).parents[2]]
    columns = [count(folder) for folder in folders]
    for what in columns[0]:
        print(f"{what:22}", *(f"{column[what]!s:>9}" for column in columns))
