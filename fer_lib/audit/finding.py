"""Finding: what a check of the audit returns, and how a check is listed."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What a check found.

    Args:
        check: Its name.
        status: `"pass"`, `"warn"` or `"fail"`.
        figures: Dict of plain Python values, as JSON takes them.
        sentence: What they mean, and what to do.
        leak: The kind of leakage that it looks for, see `LEAKS`; `""` for none.
    """

    check: str
    status: str
    figures: dict
    sentence: str
    leak: str = ""


class Check(NamedTuple):
    """A check as a table of the audit lists it.

    Args:
        leak: Key of `LEAKS`, or `""`.
        needs: What it works from: a tuple of `"data"`, `"run"`, `"model"`.
        find: Function of an `Evidence` that returns a `Finding`, or `None` where there is
            nothing to say.
    """

    leak: str
    needs: tuple
    find: object


# Kinds of leakage, in the order of Kapoor & Narayanan (Patterns 4, 2023,
# doi:10.1016/j.patter.2023.100804), table 1. Findings are listed in this order, others after them.
LEAKS = {
    "L1.1": "no test set of its own",
    "L1.2": "pre-processing on train and test together",
    "L1.3": "features selected on train and test together",
    "L1.4": "duplicates",
    "L2": "features that are not legitimate",
    "L3.1": "train from later times than test",
    "L3.2": "train and test depend on each other",
    "L3.3": "test is not a fair sample",
}
