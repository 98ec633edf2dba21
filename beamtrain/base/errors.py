"""The one exception for a user's mistake: the command line prints it as it is and exits with code 2."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """What was wrong, the value given, what is allowed, and what to do, in a line or two."""


def nearest(word: str, options: Iterable[str], likeness: float = 0.5) -> str | None:
    """The option most like `word`, or None when none is as like it as that."""
    return next(iter(get_close_matches(word, list(options), n=1, cutoff=likeness)), None)
