"""Tables and prose as HTML, for the templates of the results page."""

import re
from itertools import groupby

from markdown_it import MarkdownIt
from markupsafe import Markup

from bnrepro.analysis.render.table import ClaimName, Table, Verdict

GROUP = re.compile(r"((?:paper|ours) \(.*?\)): ")  # begins the head of a column of the paper's numbers, or of ours
NUMBER = re.compile(r"(never|≥? ?[-+]?[\d,.]+M?( ± [\d.]+)?( ~)?)?")
BRACKETS = re.compile(r"\[[^\]a-z]*\]|± \S+")  # an interval or a spread, which must stay on one line
_markdown = MarkdownIt("commonmark")


def inline(text: str) -> Markup:
    """Return a line of Markdown without a paragraph around it."""
    return Markup(_markdown.renderInline(BRACKETS.sub(lambda match: match.group().replace(" ", "\u00a0"), text)))


def block(text: str) -> Markup:
    """Return paragraphs of Markdown."""
    return Markup(_markdown.render(text))


def kind(cell: str) -> str:
    """Return the class of a cell: verdict, claim or none."""
    return "verdict" if isinstance(cell, Verdict) else "claim" if isinstance(cell, ClaimName) else ""


def names(table: Table) -> list[Markup]:
    """Return the heads of the columns without the names of their groups."""
    return [inline(GROUP.sub("", text)) for text in table.head]


def _groups(table: Table) -> list[str]:
    """Return the group of each column; it is empty before the first group.

    A head "paper (...): x" puts its own column in the group, a head "ours (...): x" also those up to the next group.
    """
    groups: list[str] = []
    for text in table.head:
        match = GROUP.match(text)
        ours = groups[-1] if groups and groups[-1].startswith("ours") else ""
        groups.append(match.group(1) if match else ours)
    return groups


def groups(table: Table) -> list[tuple[str, int]]:
    """Return the name and the width of each group in order, or nothing if no column is in a group."""
    columns = _groups(table)
    return [(name, len(list(same))) for name, same in groupby(columns)] if any(columns) else []


def classes(table: Table) -> list[str]:
    """Return the classes of each column: number, paper, both or none."""
    columns = []
    for k, group in enumerate(_groups(table)):
        filled = [row[k].strip("*") for row in table.rows if row[k]]
        number = "number" if filled and all(map(NUMBER.fullmatch, filled)) else ""
        columns.append(f"{number} paper".strip() if group.startswith("paper") else number)
    return columns
