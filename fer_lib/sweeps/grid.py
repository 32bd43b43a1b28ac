"""Grids: the experiments of a sweep, from a small YAML file or from words.

    parameters:              # every name of `Experiment`; a list is crossed, a value is fixed
      backbone: [mobilenet, mobilenet_v2]
      unfreeze: [top, "100", all]
      epochs: 15
    seeds: [0, 1, 2]         # or 3, which means 0, 1, 2
    exclude:                 # points that match one of these are left out
      - {backbone: mobilenet, unfreeze: "100"}
    include:                 # further points: these values and the fixed ones, for every seed
      - {backbone: mobilenet_v2, alpha: 0.35, unfreeze: all}

In words: `backbone=mobilenet,mobilenet_v2 epochs=15 seeds=0,1,2`.
"""

import dataclasses
import itertools
import math
from pathlib import Path

from fer_lib import storage
from fer_lib.choices import lookup
from fer_lib.experiments.experiment import NAMES, Experiment, check_name

SECTIONS = ("parameters", "seeds", "exclude", "include")

MOST_POINTS = 10_000  # more is a slip of the pen, and would not fit into memory


@dataclasses.dataclass(frozen=True)
class Grid:
    """The points of a sweep: experiments that write to one folder, each there once.

    Args:
        points: Tuple of `Experiment`.
    """

    points: tuple

    @property
    def results_dir(self):
        """Folder of the runs, a `Path`."""
        return Path(self.points[0].results_dir)

    @property
    def varied(self):
        """Names of the parameters in which the points differ, in the order of `Experiment`."""
        return tuple(
            name for name in NAMES if len({getattr(point, name) for point in self.points}) > 1
        )


def read_grid(words):
    """Return the grid of a YAML file, of `name=value,value` words, or of both.

    Args:
        words: List of `str`. The first may be a YAML file; words replace what it says of the
            same name. A value with a comma can only be written in the file.

    Returns:
        A `Grid`. Its names and value types are checked here; choices such as the backbone's name
        where the sweep is prepared, because that needs Keras.

    Raises:
        ValueError: If a name is unknown (the message suggests the nearest), a value does not fit,
            an `exclude` matches nothing, or nothing is left.
        FileNotFoundError: If there is no such file.
    """
    content = {}
    if words and "=" not in words[0]:
        content, words = _read_yaml(words[0]), words[1:]
    parameters, seeds = dict(content.get("parameters") or {}), content.get("seeds")
    for word in words:
        name, equals, values = word.partition("=")
        if not equals:
            raise ValueError(f"A grid is one YAML file and words name=value,value; got {word!r}.")
        values = values.split(",")
        if name == "seeds":
            seeds = values if len(values) > 1 else values[0]
        else:
            parameters[name] = values
    return make_grid(parameters, seeds, content.get("exclude"), content.get("include"))


def make_grid(parameters, seeds=None, exclude=None, include=None):
    """Cross parameters and seeds; see the module's own text for what each means.

    Args:
        parameters: Dict of lists or single values by the name of `Experiment`'s parameter.
        seeds: List of seeds, or how many from 0 on, or `None` for `parameters`' own.
        exclude, include: Lists of dicts, or `None`.

    Returns:
        A `Grid`.

    Raises:
        ValueError: See `read_grid`.
    """
    if seeds is not None and "seed" in parameters:
        raise ValueError("A grid has seeds or a parameter seed, not both.")
    lists = {name: _values(name, value) for name, value in parameters.items()}
    if len(lists.get("results_dir", [])) > 1:
        raise ValueError("results_dir must be one folder: it holds the whole sweep.")
    if seeds is not None:
        lists["seed"] = _seeds(seeds)
    size = math.prod(len(values) for values in lists.values())
    if size > MOST_POINTS:
        raise ValueError(f"A grid has at most {MOST_POINTS:,} points; this one has {size:,}.")
    crossed = [dict(zip(lists, row, strict=True)) for row in itertools.product(*lists.values())]
    points = [Experiment(**row) for row in crossed]
    for rule in exclude or []:
        points = _without(points, _entry("exclude", rule))
    fixed = {name: values[0] for name, values in lists.items() if len(values) == 1}
    for extra in include or []:
        rest = fixed | _entry("include", extra)
        own = [rest["seed"]] if "seed" in extra else lists.get("seed", [0])
        points += [Experiment(**rest | {"seed": seed}) for seed in own]
    if not points:
        raise ValueError("The grid has no point left.")
    return Grid(tuple({point.name: point for point in points}.values()))


def _read_yaml(file):
    if not Path(file).is_file():
        raise FileNotFoundError(
            f"There is no grid file {file}; without a file, write name=value,value."
        )
    content = storage.read_yaml(file)
    for section in content:
        lookup(SECTIONS, section, f"section of {file}:")
    for section, kind in {"parameters": dict, "exclude": list, "include": list}.items():
        if not isinstance(content.get(section) or kind(), kind):
            raise ValueError(f"{file}: {section} must be a {kind.__name__}.")
    return content


def _values(name, value):
    check_name(name)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ValueError(f"The grid gives no value for {name}.")
    return values


def _seeds(seeds):
    if isinstance(seeds, list):
        return _values("seed", seeds)
    try:
        count = int(seeds)
    except (TypeError, ValueError):
        raise ValueError(f"seeds must be a list or a number of seeds; got {seeds!r}.") from None
    if not 1 <= count <= MOST_POINTS:
        raise ValueError(
            f"seeds is how many there are, 1 for seed 0 alone and at most {MOST_POINTS:,}, or a "
            f"list; got {seeds!r}."
        )
    return _values("seed", list(range(count)))


def _entry(section, entry):
    if not isinstance(entry, dict) or not entry:
        raise ValueError(f"{section} must list parameters with values; got {entry!r}.")
    for name, value in entry.items():
        check_name(name)
        if isinstance(value, list):
            raise ValueError(f"{section}: {name} must be one value; got {value}.")
    return entry


def _without(points, rule):
    wanted = Experiment(**rule)  # reads 100 as "100" and "1e-4" as a number
    kept = [p for p in points if any(getattr(p, n) != getattr(wanted, n) for n in rule)]
    if len(kept) == len(points):
        raise ValueError(f"exclude {rule} matches no point of the grid.")
    return kept
