"""Committed tables, from their Markdown to what the page's templates lay out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from markdown_it import MarkdownIt
from markupsafe import Markup

from bnrepro.analysis.claims.rules import VERDICTS

GROUP = re.compile(r"((?:paper|ours) \(.*?\)): ")  # begins the head of a column that is the paper's, or ours
NUMBER = re.compile(r"(never|≥? ?[-+]?[\d,.]+M?( ± [\d.]+)?( ~)?)?")
BRACKETS = re.compile(r"\[[^\]]*\]|± \S+")  # an interval, a spread: not to be torn apart
CLAIM = re.compile(r"[CS]\d+\b")
_parser = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the same as HTML, and what it is."""

    text: str
    html: Markup
    kind: str = ""  # verdict, claim or nothing


@dataclass(frozen=True)
class Table:
    """Rows under heads; a column has a class, and perhaps a group over it."""

    head: list[Cell]
    rows: list[list[Cell]]
    classes: list[str]
    groups: list[tuple[str, int]] = field(default_factory=list)  # name and width, in order; none if no column has one


@dataclass
class Section:
    """What stands under one heading of a page; ``title`` is empty before the first."""

    title: str
    blocks: list[Markup | Table] = field(default_factory=list)


def html(text: str) -> Markup:
    """A line of Markdown as HTML, without a paragraph around it."""
    return Markup(_parser.renderInline(BRACKETS.sub(lambda found: found.group().replace(" ", "\u00a0"), text)))


def _cell(text: str, kind: str = "") -> Cell:
    return Cell(text, html(text), kind)


def _kind(text: str, head: str) -> str:
    if head == "verdict" and text.split(";")[0].split(" (")[0] in VERDICTS:
        return "verdict"
    return "claim" if head == "claim" and CLAIM.match(text) else ""


def _column(texts: Iterable[str]) -> str:
    filled = [text for text in texts if text]
    return "number" if filled and all(NUMBER.fullmatch(text.strip("*")) for text in filled) else ""


def table(head: list[str], rows: list[list[str]]) -> Table:
    """A table of Markdown cells; columns headed "paper (...): " or "ours (...): " are put under a head of their own."""
    names, groups = [], []
    for text in head:
        found = GROUP.match(text)
        groups.append(found.group(1) if found else groups[-1] if groups and groups[-1].startswith("ours") else "")
        names.append(GROUP.sub("", text))
    classes = [_column(row[k] for row in rows) for k in range(len(head))]
    classes = [f"{own} paper".strip() if g.startswith("paper") else own for own, g in zip(classes, groups, strict=True)]
    cells = [[_cell(text, _kind(text, name)) for text, name in zip(row, names, strict=True)] for row in rows]
    wide = [(name, len(list(same))) for name, same in groupby(groups)] if any(groups) else []
    return Table([_cell(name) for name in names], cells, classes, wide)


def sections(page: str) -> list[Section]:
    """A committed page of tables, a heading at a time; its title is left out."""
    tokens, found = _parser.parse(page), [Section("")]
    k = 0
    while k < len(tokens):
        token = tokens[k]
        end = next(j for j in range(k, len(tokens)) if tokens[j].level == 0 and tokens[j].nesting < 1)
        if token.type == "heading_open":
            if token.tag != "h1":
                found.append(Section(tokens[k + 1].content))
        elif token.type == "table_open":
            found[-1].blocks.append(_table(tokens[k : end + 1]))
        else:
            found[-1].blocks.append(Markup(_parser.renderer.render(tokens[k : end + 1], _parser.options, {})))
        k = end + 1
    return found


def _table(tokens: list) -> Table:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token.content)
    return table(rows[0], rows[1:])
