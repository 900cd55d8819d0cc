"""The results page: what it shows is what is committed."""

import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest

from bnrepro.analysis.claims import table as ledger
from bnrepro.analysis.figures import figure1, figure2
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.render import html
from bnrepro.analysis.render.table import Table
from bnrepro.cli import report
from bnrepro.site import findings
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
        found = dict(attributes)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        else:
            self.loaded += [found[name] for name in ("src", "href", "srcset", "data") if name in found]
        if tag == "section":
            self.claim = None
        if tag == "tbody" and "claim" in found.get("class", ""):
            self.claim = self.claims[found["id"]] = []
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
    """A cell without marks, emphasis and runs of space."""
    return " ".join(re.sub(r"[*`●○◐◑·]", " ", text).replace("\\", "").split()).replace(" ,", ",").replace(" ;", ";")


@pytest.fixture(scope="module")
def text(built) -> str:
    return built.read_text()


@pytest.fixture(scope="module")
def parsed(text) -> Page:
    return Page(text)


def test_the_page_needs_nothing_but_itself(text, parsed):
    assert parsed.loaded and all(address.startswith("data:") for address in parsed.loaded)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert len(text) < 8e6


def test_every_claim_has_its_row_and_its_verdict(parsed):
    assert list(parsed.claims) == [row["id"].lower() for row in ROWS] and len(ROWS) >= 58
    for row, shown in zip(ROWS, parsed.claims.values(), strict=True):
        name, says, paper, ours, verdict = map(plain, shown[0])
        n = f" n = {row['n']}" if row["n"] > 1 else ""
        assert (name, says, paper) == (row["id"], plain(row["claim"]), plain(row["paper"] or ""))
        assert (ours, verdict) == (plain(ledger.ours(row) + n), row["verdict"])
        if row["ours"]:
            told = [[plain(cell) for cell in cells] for cells in shown[1:]]
            for cells in ledger.parts(row).rows:
                assert [plain(cell) for cell in cells] in told, row["id"]


def test_it_opens_with_the_findings_of_the_readme(parsed):
    table = findings.table((ROOT / "README.md").read_text())
    assert len(table.rows) >= 5
    for claim, says, ours, verdict in table.rows:
        assert [claim, says, ours, verdict] in [[" ".join(plain(cell).split()) for cell in row] for row in parsed.rows]
        assert verdict == next(row["verdict"] for row in ROWS if row["id"] == claim)
    assert not findings.table("# Another README\n").rows


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_the_numbers_of_the_tables_are_those_of_table_md(figure, parsed):
    shown = {tuple(map(plain, row)) for row in parsed.rows}
    committed = [line for line in (figure.home(RESULTS) / "table.md").read_text().splitlines() if line.startswith("|")]
    rows = [tuple(plain(cell) for cell in line[1:-1].split("|")) for line in committed]
    rows = [row for k, row in enumerate(rows) if not set("".join(row)) <= {"-"}]
    heads = {row for row, after in itertools.pairwise(committed) if set(after) <= set("|- ")}
    heads = {tuple(plain(cell) for cell in line[1:-1].split("|")) for line in heads}
    assert len(rows) > 5 and [row for row in rows if row not in shown and row not in heads] == []


def test_links_lead_to_files_and_rows_that_are_there(built, parsed):
    assert len(parsed.links) > 500 and len(parsed.ids) == len(set(parsed.ids))
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
    assert len(paths) > 500 and [path for path in paths if not (ROOT / path).exists()] == []


def test_each_claim_links_to_the_files_that_it_comes_from(text):
    sections = text.split('<tbody class="claim"')[1:]
    for row, section in zip(ROWS, sections, strict=True):
        links = [unquote(urldefrag(link)[0]) for link in Page(section.split("<section")[0]).links]
        for command in row["commands"]:
            experiments = re.findall(r"(?<=[=,])(?:figure\d|claims|googlenet)/\w+", command)
            assert all((ROOT / "configs" / "experiment" / f"{name}.yaml").is_file() for name in experiments), command
        assert row["commands"] or not row["runs"]
        assert {Path(link).name for link in links if "/runs/" in link} == set(row["runs"])
        assert any("configs/experiment/" in link for link in links) == bool(row["records"])
        for path in (row["rule"], "results/claims.md", *(f"{folder}/runs" for folder in row["records"])):
            assert any(link.endswith(path) for link in links), (row["id"], path)


def test_what_is_lacking_is_one_line(tmp_path, capsys):
    assert report.main(["site", "--results", str(tmp_path / "results"), "--out", str(tmp_path)]) == 2
    assert "claims.json" in capsys.readouterr().err


def test_the_lines_are_the_records(text):
    charts = json.loads(re.search(r'id="data">(.*?)</script>', text).group(1))
    arms = FIGURES["figure1"].arms(RESULTS)
    traces = {trace["name"]: trace for trace in reversed(charts["figure1a"][0]["data"]) if "name" in trace}
    for name, variant in (("without BN", "plain"), ("with BN", "bn")):
        curves = figure1.accuracies(arms[variant])
        assert traces[name]["x"] == curves.index.tolist()
        assert traces[name]["y"] == pytest.approx(curves.mean(axis=1).tolist(), rel=1e-5)
        for seed in curves:
            assert traces[f"{name}, seed {seed}"]["y"] == pytest.approx(curves[seed].tolist())
    inception = FIGURES["figure2"].arms(RESULTS)["inception"]
    goal = figure2.target(inception)
    step = np.median(figure2.steps(inception, goal))
    ring = next(t for t in charts["figure2"][0]["data"] if t["name"] == "Inception" and t["mode"] == "markers")
    assert ring["x"] == [pytest.approx(step, rel=1e-5)] and ring["y"] == [pytest.approx(goal, rel=1e-5)]


def test_columns_of_the_paper_stand_under_a_head_of_their_own():
    head = ["network", "paper (ImageNet): top-1", "ours (laptop): n", "top-1, %"]
    table = Table(head, [["BN", "72.7", "3", "13.32 ± 0.80"], ["**x5**", "", "3", "never"]])
    assert html.groups(table) == [("", 1), ("paper (ImageNet)", 1), ("ours (laptop)", 2)]
    assert html.names(table) == ["network", "top-1", "n", "top-1, %"]
    assert html.classes(table) == ["", "number paper", "number", "number"]
    assert html.inline(table.rows[1][0]) == "<strong>x5</strong>"
