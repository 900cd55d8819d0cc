"""The one exception that a door turns into a single line instead of a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can mend; the message is one line that says how."""


def suggest(word: str, known: Iterable[str]) -> str:
    """ "did you mean ...?" for a word that is nearly one of the known ones, else the known ones."""
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
