"""The results page: its contents are gathered here, laid out by templates/page.html, and written as one file."""

import base64
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bnrepro.analysis.claims import table as ledger
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_text
from bnrepro.site import figures

CHARTS = {"figure1": figures.figure1_chart, "figure2": figures.figure2_chart}  # made of a figure's arms
FINDINGS = re.compile(r"## What we found\n+((?:\|.*\n)+)")  # the table of this section of the README

BRACKETS = re.compile(r"\[[^\]a-z]*\]|± \S+")  # an interval or a spread, which must stay on one line
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")  # what looks like HTML in a record is text


def to_html(markdown: str) -> Markup:
    """Return paragraphs and tables of Markdown as HTML; a wide table can be scrolled."""
    markdown = BRACKETS.sub(lambda match: match.group().replace(" ", "\u00a0"), markdown)
    html = MARKDOWN.render(markdown).replace("<table>", '<div class="scroll" tabindex="0"><table>')
    return Markup(html.replace("</table>", "</table></div>"))


def _section(name: str, figure: Figure, results: Path) -> dict[str, Any]:
    """Return the chart, the texts, the tables and the committed drawings of a figure."""
    contents, home = figure.contents(results=results), figure.home(results)
    page = figure.page(*contents)
    drawings = {path.stem: base64.b64encode(path.read_bytes()).decode() for path in sorted(home.glob("*.svg"))}
    return {
        "title": figure.title,
        "caption": figure.caption,
        "chart": Markup(CHARTS[name](contents[0]).to_json()) if name in CHARTS else "",
        "prose": page.prose,
        "tables": page.tables,
        "home": f"results/{home.relative_to(results)}",
        "pictures": {stem: f"data:image/svg+xml;base64,{drawing}" for stem, drawing in drawings.items()},
    }


def build(results: Path, page: Path, repository: str = "") -> str:
    """Return the whole page as HTML.

    Args:
        results: the folder of committed results; the README is beside it.
        page: the folder that the page will be in.
        repository: the address of the repository's files. Without one, links are relative to ``page``.
    """
    root = results.resolve().parent
    base = repository.rstrip("/") or quote(Path(os.path.relpath(root, page.resolve())).as_posix())
    remedy = "run: python scripts/report.py"
    if not (results / "claims.json").is_file():
        raise UserError(f"no {results / 'claims.json'}; {remedy}")
    rows = read_json(results / "claims.json", remedy)
    readme = root / "README.md"
    findings = "".join(FINDINGS.findall(readme.read_text() if readme.exists() else ""))
    options = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    environment = Environment(loader=PackageLoader("bnrepro.site"), **options)
    environment.globals |= {"ledger": ledger, "to_html": to_html, "link": lambda path: f"{base}/{quote(path)}"}
    return environment.get_template("page.html").render(
        findings=findings.replace("(results/claims.md#", "(#"),
        figures={name: _section(name, figure, results) for name, figure in FIGURES.items()},
        rows=rows,
        plotly=Markup(get_plotlyjs()),
    )


def write(results: Path, folder: Path, repository: str = "") -> Path:
    """Write ``folder``/index.html."""
    text = build(results, folder, repository)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "index.html", text)
    return folder / "index.html"
