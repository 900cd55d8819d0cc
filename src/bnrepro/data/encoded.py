"""Images that stay encoded until a batch needs them: each in a file of its own, or many packed into one."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Encoded:
    """One part of a data set, M images sorted by class.

    All is in arrays, which worker processes share instead of copying.

    Args:
        folder: where the files are.
        names: (M,) of bytes: each image's file, relative to the folder.
        labels: (M,) int64.
        spans: (M, 2), where in its file each image begins, and its length, in bytes; None if it is the whole file.
    """

    folder: Path
    names: np.ndarray
    labels: np.ndarray
    spans: np.ndarray | None = None

    def path(self, k: int) -> Path:
        """The file of image k."""
        return self.folder / os.fsdecode(self.names[k])

    def read(self, k: int) -> bytes:
        """The encoded image k."""
        if self.spans is None:
            return self.path(k).read_bytes()
        start, length = map(int, self.spans[k])
        with open(self.path(k), "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, start)

    def name(self, k: int) -> str:
        """What to call image k in a message."""
        return str(self.path(k)) + ("" if self.spans is None else f" at byte {self.spans[k][0]}")

    def only(self, index: np.ndarray, labels: np.ndarray) -> "Encoded":
        """The images of an index, with other labels."""
        spans = None if self.spans is None else self.spans[index]
        return replace(self, names=self.names[index], labels=labels, spans=spans)


@dataclass(frozen=True)
class Collection:
    """A data set of encoded images: its classes in the order of their labels, both parts, and what identifies it."""

    wnids: list[str]
    names: list[str]
    train: Encoded
    val: Encoded
    fingerprint: str
