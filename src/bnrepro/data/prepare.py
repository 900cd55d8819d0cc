"""Putting data sets in their place, verified."""

from pathlib import Path

from bnrepro.data.idx import read_idx
from bnrepro.data.mnist import FILES, load
from bnrepro.records.files import write_atomically


def prepare_mnist(root: Path, source: Path | None) -> str:
    """Copy the four files from ``source`` if given, verify them, and say so in one line.

    Raises:
        UserError: a file is missing or has other contents; the files in place are then as they were.
    """
    if source is not None:
        for name, (axes, sha256) in FILES.items():
            read_idx(source / name, axes, sha256, "fetch it again from the MNIST database")
        root.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            content = (source / name).read_bytes()
            write_atomically(root / name, lambda file, content=content: file.write(content))
    train_x, _, test_x, _ = load(root)
    return f"{root}: {len(train_x):,} training and {len(test_x):,} test images, checksums as expected"
