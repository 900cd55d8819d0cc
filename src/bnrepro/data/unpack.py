"""Unpacking a data set from wherever a user has it: an archive, a folder, or a folder of archive parts."""

import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from bnrepro.errors import UserError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is an archive that `members` can read."""
    return path.is_file() and path.name.endswith(SUFFIXES)


def archives(source: Path) -> list[Path]:
    """The archives to unpack: the file itself, or those directly in a folder, by name; none for a plain folder.

    Raises:
        UserError: there is no such file or folder, or it is no archive.
    """
    if is_archive(source):
        return [source]
    if not source.is_dir():
        what = "is neither a folder nor one of " + ", ".join(SUFFIXES) if source.exists() else "does not exist"
        raise UserError(f"--source {source} {what}")
    return sorted(path for path in source.iterdir() if is_archive(path))


def members(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Name and contents of every file in an archive, in its order.

    A tar inside a tar is opened too: its files lie in a folder of its name without the suffix.

    Raises:
        UserError: it is truncated or no such archive.
    """
    try:
        if archive.name.endswith(".zip"):
            with zipfile.ZipFile(archive) as file:
                for info in file.infolist():
                    if not info.is_dir():
                        yield PurePosixPath(info.filename), file.read(info)
        else:
            with tarfile.open(archive, "r|*") as file:
                yield from _of_tar(file)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise UserError(f"{archive} cannot be unpacked ({error}); fetch it again") from None


def _of_tar(file: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    for info in file:
        if not info.isfile():
            continue
        name, content = PurePosixPath(info.name), file.extractfile(info).read()
        if name.suffix == ".tar":
            with tarfile.open(fileobj=io.BytesIO(content)) as inner:
                yield from ((name.with_suffix("") / below, part) for below, part in _of_tar(inner))
        else:
            yield name, content


def inside(root: Path, name: PurePosixPath) -> Path:
    """Where an archive's member goes below ``root``; `UserError` for one that would leave it."""
    if name.is_absolute() or ".." in name.parts:
        raise UserError(f"the archive holds the unsafe path {name}; nothing was written for it")
    return root.joinpath(*name.parts)


def without(folder: str) -> Callable[[PurePosixPath], PurePosixPath]:
    """A rule for `unpack` that leaves out a leading folder."""
    return lambda name: PurePosixPath(*name.parts[1:]) if name.parts[0] == folder else name


def put(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, and make the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def unpack(archive: Path, root: Path, place: Callable[[PurePosixPath], PurePosixPath | None]) -> int:
    """Write an archive's files below ``root``, each where ``place`` says (None: nowhere), and return how many.

    An archive that was unpacked to its end before is left out at once (a mark in ``root``/.unpacked remembers its name,
    size and time); one that was interrupted begins again.
    """
    told = archive.stat()
    mark = root / ".unpacked" / f"{archive.name}.{told.st_size}.{int(told.st_mtime)}"
    if mark.exists():
        return int(mark.read_text())
    count = 0
    for name, content in members(archive):
        placed = place(name)
        if placed is not None:
            put(inside(root, placed), content)
            count += 1
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(str(count))
    return count


def forget(root: Path) -> None:
    """Forget what was unpacked, so that `unpack` writes it again."""
    shutil.rmtree(root / ".unpacked", ignore_errors=True)
