"""The results page in a browser, used as a reader would; skipped where there is none."""

import json
import os
import shutil
from pathlib import Path

import pytest

from built_site import COUNTS, ROWS

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

    def shown(self, name: str) -> list[str]:
        """The networks that a chart shows, once it is scrolled to and drawn."""
        self.page.locator(f"#{name}").scroll_into_view_if_needed()
        self.page.wait_for_selector(f"#{name}.js-plotly-plot .legend")
        script = """(name) => document.getElementById(name)._fullData
            .filter((trace) => trace.visible === true && trace.showlegend).map((trace) => trace.name)"""
        return self.page.evaluate(script, name)

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


def test_a_menu_chooses_the_reading_and_the_legend_hides_a_network(desk):
    chart = desk.page.locator("#chart-figure2")
    assert {"Inception", "BN-Baseline"} <= set(desk.shown("chart-figure2"))
    chart.locator(".legendtoggle").first.click()
    desk.page.wait_for_function("document.getElementById('chart-figure2')._fullData[1].visible === 'legendonly'")
    assert "Inception" not in desk.shown("chart-figure2")
    chart.locator(".updatemenu-header").first.click()
    chart.locator(".updatemenu-dropdown-button").nth(1).click()
    desk.page.wait_for_function("document.getElementById('chart-figure2')._fullData[1].visible === false")
    assert "BN-Baseline, beta 1" in desk.shown("chart-figure2") and "BN-Baseline" not in desk.shown("chart-figure2")


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
    assert desk.shown("chart-figure1") == ["without BN", "with BN"] and desk.wrong == []
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


def test_it_fits_a_phone(browser, built):
    window = {"viewport": {"width": 375, "height": 812}, "has_touch": True, "is_mobile": True}
    opened = Opened(browser, built, **window)
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
    assert page.get_by_role("table").count() >= 8 and not page.locator(".chart").first.is_visible()
    pictures = page.locator("figure img")
    assert pictures.count() == 7 and all(picture.bounding_box()["height"] > 100 for picture in pictures.all())
    page.locator("#c02 summary").click()
    assert page.locator("#c02 pre").is_visible() and not page.locator("form.filters").is_visible()
