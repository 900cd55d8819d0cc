"""Taking a data set from wherever a user has it: an address, an archive, a folder, or a folder of archives."""

import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from lzma import LZMAError
from pathlib import Path, PurePath

from bnrepro.errors import UserError

SUFFIXES = tuple(suffix for _, suffixes, _ in shutil.get_unpack_formats() for suffix in suffixes)
MARKS = ".unpacked"  # a folder of the data set that remembers which archives were unpacked to their end


def fetch(address: str, target: Path) -> Path:
    """Download to ``target`` unless it is there; an interrupted download goes on where it stopped."""
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


def archives(source: Path) -> list[Path]:
    """The archives of a source: the file itself, or those directly in a folder, by name; none in a plain folder."""
    if source.is_dir():
        return sorted(path for path in source.iterdir() if path.is_file() and path.name.endswith(SUFFIXES))
    if not source.exists():
        raise UserError(f"--source {source} does not exist")
    if not source.name.endswith(SUFFIXES):
        raise UserError(f"--source {source} is neither a folder nor one of {', '.join(SUFFIXES)}")
    return [source]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive, and each tar in it into a folder of its name; nothing is written outside ``folder``.

    A tar that would write outside is refused; of a zip, such members are left out.
    """
    try:
        shutil.unpack_archive(archive, folder, **({} if archive.suffix == ".zip" else {"filter": "data"}))
        for inner in sorted(folder.rglob("*.tar")):
            shutil.unpack_archive(inner, inner.with_suffix(""), filter="data")
            inner.unlink()
    except (shutil.ReadError, tarfile.TarError, zlib.error, LZMAError, EOFError, OSError) as error:
        raise UserError(f"{archive} cannot be unpacked ({error}); fetch it again") from None


def take(source: Path, root: Path, place: Callable[[PurePath], PurePath | None], replace: bool = False) -> None:
    """Put the files of a source where they belong below ``root``.

    An archive that was taken to its end before is left out. Files are linked where the file system allows it, else
    copied.

    Args:
        source: an archive, or a folder with archives and files.
        root: where the data set goes.
        place: the place below ``root`` of a file, by its path in the source; None if the file is not needed.
        replace: take also the archives and the files that were taken before.
    """
    for archive in archives(source):
        mark = root / MARKS / f"{archive.name}.{archive.stat().st_size}"
        if replace or not mark.exists():
            folder = root / MARKS / "files"
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted call left
            unpack(archive, folder)
            _link_files(folder, root, place, replace)
            shutil.rmtree(folder)
            mark.touch()
    if source.is_dir():
        _link_files(source, root, place, replace)


def _link_files(folder: Path, root: Path, place: Callable[[PurePath], PurePath | None], replace: bool) -> None:
    for directory, _, names in os.walk(folder):
        for path in (Path(directory, name) for name in names):
            placed = place(path.relative_to(folder))
            if placed is None:
                continue
            target = root / placed
            if target.exists() and (not replace or path.samefile(target)):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)
