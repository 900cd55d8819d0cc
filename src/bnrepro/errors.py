"""The one exception that a door turns into a single line instead of a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can mend; the message is one line that says how."""


FEW = 9  # known words that are listed even where one of them is meant


def suggest(word: str, known: Iterable[str]) -> str:
    """ "did you mean ...?" for a word that is nearly one of the known ones; and the known ones, if few or none is."""
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    parts = [f"did you mean {close[0]}?"] if close else []
    return " ".join(parts if close and len(known) > FEW else [*parts, f"known: {', '.join(known)}"])
