"""The results page: its contents are gathered here, laid out by templates/page.html, and written as one file."""

import base64
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bnrepro.analysis.claims import table as ledger
from bnrepro.analysis.claims.definitions import load_claims
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.render import html
from bnrepro.errors import UserError
from bnrepro.records.files import read_json, write_text
from bnrepro.site import claims, figures, findings
from bnrepro.site.charts import INKS, Chart


def _charts(contents: dict[str, tuple]) -> list[Chart]:
    """Return the charts of the figures, from what the figures are drawn of."""
    first, second, evaluation = (contents[name][0] for name in ("figure1", "figure2", "figure4"))
    return [
        figures.accuracy(first),
        figures.inputs(first["plain"], first["bn"]),
        figures.speed(second),
        figures.activations(*(second[name] for name in FIGURES["figure2"].needed)),
        figures.ensembles(evaluation),
    ]


def _section(figure: Figure, contents: tuple, results: Path) -> dict[str, Any]:
    """Return the texts, the tables and the committed drawings of a figure."""
    page, home = figure.page(*contents), figure.home(results)
    drawings = {path.stem: base64.b64encode(path.read_bytes()).decode() for path in sorted(home.glob("*.svg"))}
    return {
        "title": figure.title,
        "caption": figure.caption,
        "prose": page.prose,
        "tables": {table.title: table for table in page.tables},
        "home": f"results/{home.relative_to(results)}",
        "pictures": {name: f"data:image/svg+xml;base64,{drawing}" for name, drawing in drawings.items()},
    }


def _json(value: Any) -> Markup:
    """Return JSON that can stand in a script element."""
    return Markup(json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"))


def build(results: Path, page: Path, repository: str = "") -> str:
    """Return the whole page as HTML.

    Args:
        results: the folder of committed results; configs/ and notebooks/ are beside it.
        page: the folder that the page will be in.
        repository: the address of the repository's files. Without one, links are relative to ``page``.
    """
    root = results.resolve().parent
    base = repository.rstrip("/") or quote(Path(os.path.relpath(root, page.resolve())).as_posix())
    if not (results / "claims.json").is_file():
        raise UserError(f"no {results / 'claims.json'}; run: python scripts/report.py")
    readme = root / "README.md"
    rows, definitions = read_json(results / "claims.json"), load_claims(root / "configs" / "claims")
    plots = {row["id"]: claims.chart(row, definitions[row["id"]]) for row in rows if ledger.plotted(row)}
    contents = {name: figure.contents(results=results) for name, figure in FIGURES.items()}
    charts = {chart.name: chart for chart in _charts(contents)}
    data = {
        chart.name: [{"data": panel.data, "layout": panel.layout} for panel in chart.panels]
        for chart in (*charts.values(), *plots.values())
    }
    environment = Environment(
        loader=PackageLoader("bnrepro.site"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals |= {"ledger": ledger, "html": html, "link": lambda path: f"{base}/{quote(path)}"}
    return environment.get_template("page.html").render(
        inks=INKS,
        findings=findings.table(readme.read_text() if readme.is_file() else ""),
        figures={name: _section(figure, contents[name], results) for name, figure in FIGURES.items()},
        charts=charts,
        plots=plots,
        rows=[claims.entry(row, root) for row in rows],
        run_folders={path.name: f"results/{path.relative_to(results)}" for path in results.glob("*/**/runs/*/")},
        data=_json(data),
        plotly=Markup(get_plotlyjs()),
    )


def write(results: Path, folder: Path, repository: str = "") -> Path:
    """Write ``folder``/index.html."""
    text = build(results, folder, repository)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "index.html", text)
    return folder / "index.html"
