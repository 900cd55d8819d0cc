"""Tables and prose as HTML, for the results page: what its templates ask of a `bnrepro.analysis.render.table.Table`."""

import re
from itertools import groupby

from markdown_it import MarkdownIt
from markupsafe import Markup

from bnrepro.analysis.render.table import ClaimName, Table, Verdict

GROUP = re.compile(r"((?:paper|ours) \(.*?\)): ")  # begins the head of a column that is the paper's, or ours
NUMBER = re.compile(r"(never|≥? ?[-+]?[\d,.]+M?( ± [\d.]+)?( ~)?)?")
BRACKETS = re.compile(r"\[[^\]]*\]|± \S+")  # an interval, a spread: not to be torn apart
_markdown = MarkdownIt("commonmark")


def inline(text: str) -> Markup:
    """A line of Markdown, without a paragraph around it."""
    return Markup(_markdown.renderInline(BRACKETS.sub(lambda match: match.group().replace(" ", "\u00a0"), text)))


def block(text: str) -> Markup:
    """Paragraphs of Markdown."""
    return Markup(_markdown.render(text))


def kind(cell: str) -> str:
    """What a cell is: a verdict, a claim or nothing of note."""
    return "verdict" if isinstance(cell, Verdict) else "claim" if isinstance(cell, ClaimName) else ""


def names(table: Table) -> list[Markup]:
    """The heads without the groups that they are in."""
    return [inline(GROUP.sub("", text)) for text in table.head]


def _groups(table: Table) -> list[str]:
    """The group of each column: "paper (...)", or "ours (...)" up to the next group; empty before the first."""
    groups: list[str] = []
    for text in table.head:
        match = GROUP.match(text)
        ours = groups[-1] if groups and groups[-1].startswith("ours") else ""
        groups.append(match.group(1) if match else ours)
    return groups


def groups(table: Table) -> list[tuple[str, int]]:
    """The name and width of each group, in order; none if no column is in one."""
    columns = _groups(table)
    return [(name, len(list(same))) for name, same in groupby(columns)] if any(columns) else []


def classes(table: Table) -> list[str]:
    """The classes of each column: number, paper, both or none."""
    columns = []
    for k, group in enumerate(_groups(table)):
        filled = [row[k].strip("*") for row in table.rows if row[k]]
        number = "number" if filled and all(map(NUMBER.fullmatch, filled)) else ""
        columns.append(f"{number} paper".strip() if group.startswith("paper") else number)
    return columns
