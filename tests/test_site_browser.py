"""The results page in a browser, used as a reader would; skipped where there is none."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from bnrepro.site.charts import INKS
from built_site import COUNTS, RESULTS, ROWS

pytestmark = pytest.mark.xdist_group("browser")  # they share a window
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        found = next(filter(None, map(shutil.which, BROWSERS)), None) or driver.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("no Chromium found: apt-get install chromium, or python -m playwright install chromium")
        options = QUIET + (["--no-sandbox"] if os.geteuid() == 0 else [])
        running = driver.chromium.launch(executable_path=found, args=options, timeout=120_000)
        yield running
        running.close()


class Opened:
    """The page in a window, and what went wrong in it."""

    def __init__(self, browser, built: Path, **window) -> None:
        self.wrong: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_context(**window).new_page()
        self.page.set_default_timeout(180_000)  # a machine may be busy
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(built.as_uri())

    def chart(self, name: str):
        """A chart, scrolled to and drawn."""
        found = self.page.locator(f"#{name}")
        found.scroll_into_view_if_needed()
        self.page.wait_for_selector(f"#{name}[data-drawn]", state="attached")
        return found

    def shown(self, name: str, panel: int = 0) -> list[str]:
        """The names of a panel's visible lines."""
        script = """([name, k]) => document.querySelectorAll(`#${name} .plot`)[k]._fullData
            .filter((trace) => trace.visible === true && trace.hoverinfo !== "skip").map((trace) => trace.name)"""
        return self.page.evaluate(script, [name, panel])

    def axis(self, name: str, key: str = "xaxis"):
        """An axis of a chart's first panel: its type and range."""
        script = """([name, key]) => { const axis = document.querySelector(`#${name} .plot`)._fullLayout[key];
            return [axis.type, axis.range]; }"""
        return self.page.evaluate(script, [name, key])

    def claims(self) -> list[str]:
        """The claims that can be seen."""
        return self.page.eval_on_selector_all(
            "tbody.claim", "all => all.filter((c) => c.offsetHeight).map((c) => c.id)"
        )


@pytest.fixture(scope="module")
def desk(browser, built) -> Opened:
    return Opened(
        browser, built, viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce"
    )


def choose(chart, label: str) -> None:
    chart.get_by_label(label, exact=True).click()


def test_networks_and_seeds_are_taken_out_and_in(desk):
    chart = desk.chart("figure1a")
    assert desk.shown("figure1a") == ["without BN", "with BN"]
    choose(chart, "without BN")
    assert desk.shown("figure1a") == ["with BN"]
    choose(chart, "seed 3")
    assert desk.shown("figure1a") == ["with BN", "with BN, seed 3"]
    choose(chart, "mean and range")
    choose(chart, "without BN")
    assert desk.shown("figure1a") == ["without BN, seed 3", "with BN, seed 3"]
    choose(chart, "mean and range")
    choose(chart, "seed 3")
    chart = desk.chart("figure2")
    first = desk.shown("figure2")
    choose(chart, "Equal budget, beta starts at 1")
    assert "BN-Baseline" in first and "BN-Baseline" not in desk.shown("figure2")
    choose(chart, "Equal budget")
    assert desk.shown("figure2") == first


def test_the_pointer_tells_what_the_table_says(desk):
    desk.chart("figure1a")
    committed = (RESULTS / "figure1" / "paper" / "table.md").read_text()
    for name in ("with BN", "without BN"):
        column = 3 if name == "with BN" else 2
        expected = re.search(r"\| test accuracy at 10,000 steps.*", committed).group().split("|")[column].strip()
        script = """(name) => { const plot = document.querySelector("#figure1a .plot");
            const { xaxis, yaxis } = plot._fullLayout;
            const trace = plot._fullData.find((t) => t.visible === true && t.name === name);
            const box = plot.getBoundingClientRect();
            const k = [...trace.x].indexOf(10000);
            return [box.x + xaxis._offset + xaxis.l2p(10000), box.y + yaxis._offset + yaxis.l2p(trace.y[k])]; }"""
        desk.page.mouse.move(*desk.page.evaluate(script, name), steps=4)
        told = desk.page.locator("#figure1a .hoverlayer .hovertext").filter(has_text=f"{name}step 10,000")
        assert f"{expected} %, n = 5" in told.text_content()


def test_axes_are_logarithmic_zoomed_and_moved_by_mouse_and_keyboard(desk):
    chart = desk.chart("figure1a")
    assert desk.axis("figure1a")[0] == "linear"
    chart.get_by_label("linear", exact=True).focus()
    desk.page.keyboard.press("ArrowRight")
    assert desk.axis("figure1a")[0] == "log"
    desk.page.keyboard.press("ArrowLeft")
    kind, whole = desk.axis("figure1a")
    assert kind == "linear"
    box = chart.locator(".nsewdrag").first.bounding_box()
    desk.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    desk.page.mouse.down()
    desk.page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 160, steps=5)
    desk.page.mouse.up()
    desk.page.wait_for_function("document.querySelector('#figure1a .plot')._fullLayout.xaxis.range[1] < 40000")
    zoomed = desk.axis("figure1a")[1]
    assert 0.25 < (zoomed[1] - zoomed[0]) / (whole[1] - whole[0]) < 0.35
    plot = chart.locator(".plot")
    plot.focus()
    desk.page.keyboard.press("0")
    assert desk.axis("figure1a")[1] == pytest.approx(whole)
    desk.page.keyboard.press("+")
    desk.page.wait_for_function("document.querySelector('#figure1a .plot')._fullLayout.xaxis.range[1] < 48000")
    desk.page.keyboard.press("0")
    choose(chart, "95 to 98 %")
    assert desk.axis("figure1a", "yaxis")[1] == [0.95, 0.98]
    choose(chart, "70 to 100 %")


def test_the_ledger_is_filtered_and_searched(desk):
    page, count = desk.page, desk.page.locator("#count")
    assert count.get_attribute("aria-live") == "polite" and count.text_content() == f"{len(ROWS)} of {len(ROWS)} claims"
    fails, holds = (page.locator(f"button.toggle.{verdict}") for verdict in ("fails", "holds"))
    fails.click()
    assert desk.claims() == [row["id"].lower() for row in ROWS if row["verdict"] == "fails"]
    assert (
        count.text_content() == f"{COUNTS['fails']} of {len(ROWS)} claims"
        and fails.get_attribute("aria-pressed") == "true"
    )
    holds.focus()
    page.keyboard.press("Enter")
    assert len(desk.claims()) == COUNTS["fails"] + COUNTS["holds"]
    page.locator("#search").fill("jacobian")
    expected = [row["id"].lower() for row in ROWS if "jacobian" in json.dumps(row).lower()]
    found = desk.claims()
    assert found and set(found) <= set(expected) and count.text_content() == f"{len(found)} of {len(ROWS)} claims"
    page.locator("#search").fill("no such word")
    assert desk.claims() == [] and page.locator("#none").is_visible()
    page.locator("#nothing").click()
    assert len(desk.claims()) == len(ROWS) and page.locator("#search").input_value() == ""
    page.locator(".tally a.contested").click()
    assert len(desk.claims()) == COUNTS["contested"]


def test_a_link_to_a_claim_unfolds_it(desk):
    row = next(row for row in ROWS if row["id"] == "C02")
    desk.page.locator(f".tally a.{next(verdict for verdict in COUNTS if verdict != row['verdict'])}").click()
    assert "c02" not in desk.claims()
    desk.page.evaluate("location.hash = '#c02'")
    desk.page.wait_for_selector("#c02 details[open]")
    assert len(desk.claims()) == len(ROWS)
    assert desk.page.locator("#c02 pre").text_content() == "\n".join(row["commands"])


def test_nothing_went_wrong_and_nothing_was_asked_of_the_network(desk, built):
    desk.chart("figure1bc")
    assert desk.shown("figure1bc")
    assert desk.wrong == []
    assert [url for url in desk.requests if not url.startswith(("data:", "blob:", built.as_uri()))] == []


def test_it_prints_by_day_with_its_tables_unfolded_and_goes_back(browser, built):
    opened = Opened(browser, built, viewport={"width": 1280, "height": 900}, color_scheme="dark")
    folded = "document.querySelectorAll('main details.more-tables:not([open])').length"
    dark = opened.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    before = opened.page.evaluate(folded)
    assert opened.page.pdf().startswith(b"%PDF") and before > 5
    assert opened.page.evaluate(folded) == before and opened.wrong == []
    opened.page.emulate_media(media="print", color_scheme="dark")
    assert opened.page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert dark == "rgb(21, 23, 27)" and not opened.page.locator("nav").is_visible()


def test_it_follows_the_reader_into_the_dark(desk):
    desk.chart("figure1a")
    for scheme, page, ink in (("dark", "rgb(21, 23, 27)", 1), ("light", "rgb(253, 252, 250)", 0)):
        desk.page.emulate_media(color_scheme=scheme)
        script = """([page, ink]) => getComputedStyle(document.documentElement).backgroundColor === page
            && document.querySelector("#figure1a .plot")._fullData.find((t) => t.name === "with BN").line.color
                === ink"""
        desk.page.wait_for_function(script, arg=[page, INKS["with"][ink]])


def test_it_fits_a_phone(browser, built):
    window = {"viewport": {"width": 375, "height": 812}, "has_touch": True, "is_mobile": True}
    opened = Opened(browser, built, **window)
    opened.chart("figure2")
    opened.page.locator("#c25 summary").tap()
    opened.page.wait_for_selector("#c25 details[open]")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 375
    wide = """() => [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > 376
        && !e.closest(".scroll, pre, .js-plotly-plot")).map((e) => e.outerHTML.slice(0, 80))"""
    assert opened.page.evaluate(wide) == [] and opened.wrong == []
    assert opened.page.locator("#c25 .told").bounding_box()["width"] > 30


def test_without_javascript_there_are_tables_pictures_and_details(browser, built):
    opened = Opened(browser, built, java_script_enabled=False, viewport={"width": 1000, "height": 800})
    page = opened.page
    assert page.locator("tbody.claim").count() == len(ROWS) and page.locator("#c45 .told").is_visible()
    assert page.get_by_role("table").count() >= 8 and not page.locator(".controls").first.is_visible()
    pictures = page.locator("noscript img")
    assert pictures.count() == 2 and all(picture.bounding_box()["height"] > 100 for picture in pictures.all())
    page.locator("#c02 summary").click()
    assert page.locator("#c02 pre").is_visible() and not page.locator("form.filters").is_visible()
