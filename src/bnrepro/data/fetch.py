"""Downloading a file so that an interrupted download goes on where it stopped."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from bnrepro.errors import UserError


def fetch(address: str, target: Path) -> Path:
    """Download to ``target``, by way of ``target``.part; nothing is done if it is there.

    Raises:
        UserError: it cannot be reached, or the connection was lost; what has come so far is kept.
    """
    if target.exists():
        return target
    partial = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    again = "run again to go on, or give --source ARCHIVE_OR_FOLDER"
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            goes_on = answer.status == 206
            expected = (have if goes_on else 0) + int(answer.headers.get("Content-Length", 0))
            with open(partial, "ab" if goes_on else "wb") as file:
                shutil.copyfileobj(answer, file)
        if partial.stat().st_size < expected:
            raise UserError(f"{address}: the connection was lost at {partial.stat().st_size:,} bytes; {again}")
    except urllib.error.HTTPError as error:
        if not (have and error.code == 416):  # nothing is left to send: it was complete before
            raise UserError(f"{address} cannot be fetched ({error}); {again}") from None
    except OSError as error:
        raise UserError(f"{address} cannot be fetched ({error}); {again}") from None
    partial.rename(target)
    return target
