"""A data set taken from an address, an archive, a folder, or a folder of archives."""

import os
import shutil
import tarfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from lzma import LZMAError
from pathlib import Path

from bnrepro.errors import UserError
from bnrepro.records.files import write_atomically

SUFFIXES = tuple(suffix for _, suffixes, _ in shutil.get_unpack_formats() for suffix in suffixes)
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


def copy_from(source: Path, root: Path, folder: str, names: tuple[str, ...]) -> None:
    """Put the files and folders of these names below ``root``, over any that are there.

    Args:
        source: an archive, a folder of archives, or a folder that has them.
        root: the folder of the data set.
        folder: the name of the folder in which an archive may have them.
        names: what is needed of the source.
    """
    if not source.exists():
        raise UserError(f"--source {source} does not exist")
    if not source.is_dir() and not source.name.endswith(SUFFIXES):
        raise UserError(f"--source {source} is neither a folder nor one of {', '.join(SUFFIXES)}")
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    archives = [path for path in paths if path.is_file() and path.name.endswith(SUFFIXES)]
    if not archives:
        _place(source, root, folder, names, shutil.copyfile)
    unpacked = root / ".unpacked"
    for archive in archives:
        shutil.rmtree(unpacked, ignore_errors=True)  # of an interrupted call
        unpack(archive, unpacked)
        _place(unpacked, root, folder, names, os.replace)
        shutil.rmtree(unpacked)


def _place(source: Path, root: Path, folder: str, names: tuple[str, ...], copy: Callable[[Path, Path], object]) -> None:
    """Copy or move what is in ``source``, or in its subfolder ``folder``, to ``root``."""
    files = source / folder if (source / folder).is_dir() else source
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (files / name).is_dir():
            shutil.copytree(files / name, root / name, copy_function=copy, dirs_exist_ok=True)
        elif (files / name).exists():
            copy(files / name, root / name)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive. Nothing is written outside ``folder``.

    A tar with a member outside ``folder`` is refused. Such members of a zip are left out.
    """
    try:
        shutil.unpack_archive(archive, folder, **({} if archive.suffix == ".zip" else {"filter": "data"}))
    except (*UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the archive may be whole, but its files cannot be written
            shutil.rmtree(folder, ignore_errors=True)
            raise
        raise UserError(f"{archive} cannot be unpacked ({error}); fetch it again") from None
