"""Finding: what a check of the audit returns."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What a check found.

    Args:
        check: Its name.
        status: `"pass"`, `"warn"` or `"fail"`.
        figures: Dict of plain Python values, as JSON takes them.
        sentence: What they mean, and what to do.
    """

    check: str
    status: str
    figures: dict
    sentence: str
