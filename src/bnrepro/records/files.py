"""Files that are replaced as a whole: a reader, or a crash, never meets half of one."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from bnrepro.errors import UserError


def make_writable(folder: Path) -> None:
    """Make a folder and check that files can be written into it, before time is spent on what is to go there."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f".writable.{os.getpid()}"
    trial.touch()
    trial.unlink()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError name this file; the error of a write names none, or a temporary one."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write a new file beside ``path``, sync it, and rename it to ``path``; after an error the old file is still there.

    ``write`` writes the content to the open file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            with open(temporary, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def remove_litter(folder: Path) -> None:
    """Remove what a killed process left half written in a folder; no other process may write there meanwhile."""
    for path in [*folder.glob(".*.tmp"), *folder.glob(".writable.*")]:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_atomically` for text."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """`write_atomically` for JSON, sorted and indented so that it diffs well."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str = "move its directory away to run it afresh") -> dict[str, Any]:
    """Read JSON, or raise a `UserError` that ends with the remedy if the file is not JSON; the default is a run's."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); {remedy}") from None
