"""A data set taken from an address, an archive, a folder, or a folder of archives."""

import os
import shutil
import tarfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from lzma import LZMAError
from pathlib import Path, PurePath

from bnrepro.errors import UserError
from bnrepro.records.files import write_atomically

SUFFIXES = tuple(suffix for _, suffixes, _ in shutil.get_unpack_formats() for suffix in suffixes)
UNPACKED = ".unpacked"  # a folder below the data set's root, with a mark for each archive that has been taken
# A zip archive with a password raises RuntimeError.
UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError)


def fetch(address: str, target: Path) -> None:
    """Download a zip archive."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            write_atomically(target, lambda file: shutil.copyfileobj(answer, file))
    except OSError as error:
        raise UserError(f"{address} cannot be fetched ({error}); run again, or give --source") from None
    if not zipfile.is_zipfile(target):
        target.unlink()
        raise UserError(f"{address}: the download is incomplete or no zip archive; run again, or give --source")


def take(source: Path, root: Path, place: Callable[[PurePath], PurePath | None], again: bool = False) -> None:
    """Put the files of a source in their places below ``root``, over any files that are there.

    Files are linked if the file system allows it, and copied otherwise. Archives that have been taken are left out.

    Args:
        source: an archive, or a folder with archives and files.
        root: the folder of the data set.
        place: maps the path of a file in the source to its path below ``root``, or to None if it is not needed.
        again: take all archives again.
    """
    if not source.exists():
        raise UserError(f"--source {source} does not exist")
    if not source.is_dir() and not source.name.endswith(SUFFIXES):
        raise UserError(f"--source {source} is neither a folder nor one of {', '.join(SUFFIXES)}")
    for path in sorted(source.iterdir()) if source.is_dir() else [source]:
        mark = root / UNPACKED / f"{path.name}.{path.stat().st_size}"
        if path.is_file() and path.name.endswith(SUFFIXES) and (again or not mark.exists()):
            folder = root / UNPACKED / "files"
            shutil.rmtree(folder, ignore_errors=True)  # of an interrupted call
            unpack(path, folder)
            _link_files(folder, root, place)
            shutil.rmtree(folder)
            mark.touch()
    if source.is_dir():
        _link_files(source, root, place)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive, and each tar in it into a folder of its name. Nothing is written outside ``folder``.

    A tar with a member outside ``folder`` is refused. Such members of a zip are left out.
    """
    try:
        shutil.unpack_archive(archive, folder, **({} if archive.suffix == ".zip" else {"filter": "data"}))
        for inner in sorted(folder.rglob("*.tar")):
            shutil.unpack_archive(inner, inner.with_suffix(""), filter="data")
            inner.unlink()
    except (*UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the archive may be whole, but its files cannot be written
            shutil.rmtree(folder, ignore_errors=True)
            raise
        raise UserError(f"{archive} cannot be unpacked ({error}); fetch it again") from None


def _link_files(folder: Path, root: Path, place: Callable[[PurePath], PurePath | None]) -> None:
    for directory, _, names in os.walk(folder):
        for path in (Path(directory, name) for name in names):
            relative = place(path.relative_to(folder))
            if relative is None or ((root / relative).exists() and path.samefile(root / relative)):
                continue
            target = root / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)
