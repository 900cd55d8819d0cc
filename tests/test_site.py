"""The results page: what it shows is what is committed."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest

from bnrepro.analysis.claims import table as ledger
from bnrepro.analysis.figures import figure2
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.reading.curves import accuracies
from bnrepro.cli import report
from bnrepro.errors import UserError
from bnrepro.site import figures
from bnrepro.site import page as site
from built_site import RESULTS, ROWS
from conftest import ROOT


class Page(HTMLParser):
    """The tables' rows as texts, the claims' rows, the ids and what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.claims: dict[str, list[list[str]]] = {}
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.claim: list[list[str]] | None = None  # the rows of the one that is open
        self.cells: list[list[str]] = []  # that are open, innermost last
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        else:
            self.loaded += [values[name] for name in ("src", "href", "srcset", "data") if name in values]
        if tag == "section":
            self.claim = None
        if tag == "tbody" and "claim" in values.get("class", ""):
            self.claim = self.claims[values["id"]] = []
        if tag == "tr":
            self.rows.append([])
            if self.claim is not None:
                self.claim.append(self.rows[-1])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.cells.append(self.rows[-1])

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cells.pop()

    def handle_data(self, data):
        if self.cells:
            self.cells[-1][-1] += data


def plain(text: str) -> str:
    """A cell without marks, emphasis, addresses of links and runs of space."""
    return " ".join(re.sub(r"[*`●○◐◑·\[\]]|\(#\w+\)", " ", text).replace("\\", "").split())


def rows_of(markdown: str) -> list[list[str]]:
    """The rows of a Markdown table, as texts."""
    lines = [line for line in markdown.splitlines() if line.startswith("|") and not set(line) <= set("|- ")]
    return [[plain(cell) for cell in re.split(r"(?<!\\)\|", line[1:-1])] for line in lines]


@pytest.fixture(scope="module")
def text(built) -> str:
    return built.read_text()


@pytest.fixture(scope="module")
def parsed(text) -> Page:
    return Page(text)


@pytest.fixture(scope="module")
def shown(parsed) -> list[list[str]]:
    return [list(map(plain, row)) for row in parsed.rows]


def test_the_page_needs_nothing_but_itself(text, parsed):
    assert parsed.loaded and all(address.startswith("data:") for address in parsed.loaded)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert len(text) < 8e6


def test_every_claim_has_its_row_and_its_verdict(parsed):
    assert list(parsed.claims) == [row["id"].lower() for row in ROWS] and len(ROWS) >= 58
    for row, claim in zip(ROWS, parsed.claims.values(), strict=True):
        name, says, paper, ours, verdict = map(plain, claim[0])
        n = f" n = {row['n']}" if row["n"] > 1 else ""
        assert (name, says, paper) == (row["id"], plain(row["claim"]), plain(row["paper"] or ""))
        assert (ours, verdict) == (plain(ledger.measured_text(row) + n), row["verdict"])
        parts = [list(map(plain, cells)) for cells in claim[1:]]
        assert not row["ours"] or all(list(map(plain, part)) in parts for part in ledger.parts(row).rows), row["id"]


def test_it_opens_with_the_findings_of_the_readme(shown):
    (table,) = site.FINDINGS.findall((ROOT / "README.md").read_text())
    rows = rows_of(table.replace("(results/claims.md#", "(#"))
    assert len(rows) == 8 and all(row in shown for row in rows)


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_the_numbers_of_the_tables_are_those_of_table_md(figure, shown):
    rows = rows_of((figure.home(RESULTS) / "table.md").read_text())
    assert len(rows) > 5 and [row for row in rows if row not in shown] == []


def test_links_lead_to_files_and_rows_that_are_there(built, parsed):
    assert len(parsed.links) > 200 and len(parsed.ids) == len(set(parsed.ids))
    for address in set(parsed.links):
        path, name = urldefrag(address)
        if not path:
            assert name in parsed.ids, address
        elif not path.startswith("https://arxiv.org/"):
            assert (built.parent / unquote(path)).exists(), address


def test_links_can_be_those_of_a_repository(tmp_path):
    address = "https://code.example/bnrepro/blob/main"
    links = [link for link in Page(site.build(RESULTS, tmp_path, f"{address}/")).links if link[0] != "#"]
    paths = {unquote(urldefrag(link)[0].removeprefix(f"{address}/")) for link in links if "arxiv" not in link}
    assert len(paths) > 100 and [path for path in paths if not (ROOT / path).exists()] == []


def test_each_claim_links_to_its_rule_and_its_records(text):
    for row, section in zip(ROWS, text.split('<tbody class="claim"')[1:], strict=True):
        links = [unquote(urldefrag(link)[0]) for link in Page(section.split("<section")[0]).links]
        for path in (row["rule"], "results/claims.md", *(f"{folder}/runs" for folder in row["records"])):
            assert any(link.endswith(path) for link in links), (row["id"], path)


def test_what_is_lacking_is_one_line(tmp_path, capsys):
    assert report.main(["site", "--results", str(tmp_path / "results"), "--out", str(tmp_path)]) == 2
    assert "claims.json" in capsys.readouterr().err


def test_a_damaged_ledger_is_to_be_written_anew(tmp_path):
    (tmp_path / "claims.json").write_text("[")
    with pytest.raises(UserError, match=r"claims\.json is not valid JSON .*; run: python scripts/report\.py$"):
        site.build(tmp_path, tmp_path)


def test_the_lines_are_the_records():
    arms = FIGURES["figure1"].arms(RESULTS)
    traces = {trace.name: trace for trace in reversed(figures.figure1_chart(arms).data) if trace.name}
    table = (RESULTS / "figure1" / "paper" / "table.md").read_text()
    shown = re.search(r"\| test accuracy at 10,000 steps.*", table).group().split(" | ")[1:3]
    for (name, variant), expected in zip((("without BN", "plain"), ("with BN", "bn")), shown, strict=True):
        curves = accuracies(arms[variant])
        trace = traces[name]
        assert list(trace.x) == curves.index.tolist() and list(trace.y) == pytest.approx(curves.mean(axis=1).tolist())
        assert trace.text[trace.x.index(10_000)] == f"{expected} %, n = 5"
    arms = FIGURES["figure2"].arms(RESULTS)
    goal = figure2.target(arms["inception"])
    ring = next(trace for trace in figures.figure2_chart(arms).data if trace.mode == "markers")
    assert ring.x == (np.median(figure2.steps(arms["inception"], goal)),) and ring.y == (goal,)


def test_a_reading_shows_its_own_networks_and_hides_the_controls():
    chart = figures.figure2_chart(FIGURES["figure2"].arms(RESULTS))
    for button in chart.layout.updatemenus[0].buttons:
        visible = button.args[0]["visible"]
        named = [(trace.name, seen) for trace, seen in zip(chart.data, visible, strict=True) if trace.name and seen]
        assert ("Inception", True) in named and ("the target", True) in named
        assert all(seen == "legendonly" for name, seen in named if name.startswith("all changes"))
    first = chart.layout.updatemenus[0].buttons[0].args[0]["visible"]
    assert [trace.visible for trace in chart.data] == list(first)


def test_what_looks_like_html_in_a_record_is_text():
    shown = str(site.to_html("| a <b>name</b> |\n| --- |\n| <script>alert(1)</script> |\n"))
    assert "&lt;script&gt;alert(1)" in shown and "<script>" not in shown and "<b>" not in shown
