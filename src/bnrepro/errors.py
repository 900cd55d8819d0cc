"""Errors that a user can mend, in one line that says how."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

MOST_LISTED = 9  # known words that are listed even where one of them is meant

_FREE_SPACE = "free some space, then run the same command again"
_FILE_IN_THE_WAY = "a file is in the place of a folder; move it away or name another folder"
_NO_PERMISSION = "name a folder that you may write to, or change its permissions"
REMEDIES = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), then run the same command again",
    errno.EMFILE: "raise the limit on open files (ulimit -n 1024), then run the same command again",
    errno.EROFS: "its file system is read-only; name a folder elsewhere",
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EEXIST: _FILE_IN_THE_WAY,
    errno.ENOTDIR: _FILE_IN_THE_WAY,
    errno.EISDIR: "a folder is in the place of a file; move it away or name another file",
    errno.ENOENT: "check the name",
}


class UserError(Exception):
    """Something the user can mend; the message is one line that says how."""


def explain(error: OSError) -> str:
    """Say in one line which file an operation failed on, why, and what to do about it."""
    path = error.filename2 or error.filename or "the output"
    remedy = REMEDIES.get(error.errno, "run the same command again once this is mended")
    return f"{path}: {error.strerror or error}; {remedy}"


def suggest(word: str, known: Iterable[str]) -> str:
    """Say "did you mean ...?" if one known word is similar, and list the known words if they are few or none is."""
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    parts = [f"did you mean {close[0]}?"] if close else []
    return " ".join(parts if close and len(known) > MOST_LISTED else [*parts, f"known: {', '.join(known)}"])
