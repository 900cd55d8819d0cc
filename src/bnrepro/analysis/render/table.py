"""Tables and pages of tables as data, as Markdown, and in the terminal."""

import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import table as rich_table
from rich.console import Console


@dataclass(frozen=True)
class Table:
    """A table of cells in Markdown, with a text above it (``prose``) and one below it (``note``)."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    prose: str = ""
    note: str = ""

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], title: str = "", **options: Any) -> "Table":
        """Make a table from at least one row, each of which maps the heads of the columns to the row's cells."""
        return cls(list(rows[0]), [list(row.values()) for row in rows], title, **options)

    def grid(self) -> str:
        """Return the head and the rows alone."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |" for cells in lines)

    def markdown(self, level: int = 3) -> str:
        """Return the title as a heading of this level, the prose, the table and the note."""
        title = f"{'#' * level} {self.title}" if self.title else ""
        return "\n\n".join(filter(None, (title, self.prose, self.grid(), self.note))) + "\n"

    def __str__(self) -> str:
        return self.markdown()

    def show(self, width: int = 140) -> None:
        """Print the head and the rows; where standard output is no terminal, it is this wide."""
        shown = rich_table.Table(*self.head, box=None, header_style="bold")
        for row in self.rows:
            shown.add_row(*row)
        Console(width=None if sys.stdout.isatty() else width, markup=False).print(shown)


@dataclass(frozen=True)
class Page:
    """The content of a table.md; ``level`` is the level of its tables' headings."""

    title: str
    prose: str
    tables: Sequence[Table]
    level: int = 2

    def __str__(self) -> str:
        return "\n".join(
            [f"# {self.title}\n", f"{self.prose}\n", *(table.markdown(self.level) for table in self.tables)]
        )


def paragraph(prose: str) -> str:
    """Return prose in lines of at most 118 characters."""
    return textwrap.fill(" ".join(prose.split()), 118, break_on_hyphens=False)
