"""Choices by name: a name in a table, or the error that lists what there is."""

import difflib


def suggest(name, known):
    """Return `"; did you mean 'x'?"` for the known name nearest to `name`, or `""`."""
    near = difflib.get_close_matches(str(name).lower(), [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def lookup(choices, name, what):
    """Return what a name stands for.

    Args:
        choices: Dict, or any other collection of names.
        name: The name.
        what: What the names are of, for the message.

    Returns:
        `choices[name]` of a dict, else the name itself.

    Raises:
        ValueError: If the name is unknown; the message lists the names and the nearest one.

    >>> lookup({"a": 1}, "a", "letter"), lookup(("a", None), None, "letter")
    (1, None)
    """
    if name not in choices:
        keys = ", ".join(map(repr, choices))
        raise ValueError(f"Unknown {what} {name!r}. Known: {keys}{suggest(name, choices)}")
    return choices[name] if hasattr(choices, "keys") else name
