"""Where a file of the repository is, as seen from the page."""

import os
from pathlib import Path
from urllib.parse import quote


class Links:
    """Addresses of the repository's files: below ``repository`` if given, else relative to the page's folder."""

    def __init__(self, root: Path, page: Path, repository: str = "") -> None:
        self.base = repository.rstrip("/") or quote(Path(os.path.relpath(root, page)).as_posix())

    def __call__(self, path: str | Path) -> str:
        """The address of a file or folder, given its path in the repository."""
        return f"{self.base}/{quote(Path(path).as_posix())}"
