"""The report in a real browser: charts match the data, there are no network requests, and controls work.

Requires Playwright and Debian's chromium, which `.ci/run` installs if available; skipped otherwise.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from made_up_selection import selected_run

from optsearch.runs.report.html import Report, read_report, to_html

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

PLANTED = "<img src=x onerror=document.title='planted'>"
OPENED = "document.documentElement.dataset.ready === 'yes'"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    found = read_report([selected_run(tmp_path_factory.mktemp("runs") / "one", programs=200)])
    for row in found.responses["one"][-1].rows[:40]:
        row["series"] = PLANTED
    for row in next(chart for chart in found.all_charts() if chart.name == "lineage").rows:
        row["mutation"] += PLANTED
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened(report: Report, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(to_html(report), encoding="utf-8")

    def visit(width: int = 1200, scheme: str = "light") -> Any:
        page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        page.noticed = []
        page.on("console", lambda message: page.noticed.append(message.text))
        page.on("pageerror", lambda error: page.noticed.append(str(error)))
        page.on("request", lambda request: page.noticed.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function(OPENED, timeout=60_000)
        return page

    return visit


@pytest.fixture(scope="module")
def page(opened: Callable[..., Any]) -> Any:
    return opened()


def marks(page: Any, chart: str, kind: str) -> int:
    return page.locator(f"[data-chart={chart}] .mark-{kind}.role-mark > *").count()


def test_nothing_is_said_and_nobody_is_asked(page: Any) -> None:
    assert [text for text in page.noticed if not text.endswith("report.html")] == []
    assert page.title() == "optsearch: quickstart"
    drawn = page.locator("[data-chart] svg").count()
    assert drawn == page.locator("[data-chart]").count() > 10


def test_charts_have_a_mark_for_every_row(page: Any, report: Report) -> None:
    rows = {chart.name: chart.rows for chart in report.all_charts()}
    assert marks(page, "lineage", "symbol") == sum(row["fitness"] is not None for row in rows["lineage"])
    assert marks(page, "mutations", "rect") == len(rows["mutations"])
    assert marks(page, "family-tree", "symbol") == marks(page, "family-tree", "rule") == len(rows["family-tree"])
    assert marks(page, "meta-validation", "symbol") == len(rows["meta-validation"])
    points = sum(row["part"] in ("points", "line") for row in rows["progress"])
    assert marks(page, "progress", "symbol") == points
    assert marks(page, "finals", "rect") == sum(row["part"] == "point" for row in rows["finals"])


def test_selections_have_a_mark_for_every_row(page: Any, report: Report) -> None:
    rows = {chart.name: chart.rows for chart in report.all_charts()}
    larger = "selection1-2-larger-"
    programs = len({row["contender"] for row in rows["selection1-funnel"]})
    assert marks(page, "selection1-funnel", "symbol") == len(rows["selection1-funnel"])
    assert marks(page, "selection1-funnel", "text") == programs
    for task in ("digits", "teach"):
        losses = rows[f"{larger}{task}-losses"]
        assert marks(page, f"{larger}{task}-losses", "rect") == sum(row["part"] == "point" for row in losses)
        curves = rows[f"{larger}{task}-learning-curves"]
        contenders = len({row["contender"] for row in curves})
        assert marks(page, f"{larger}{task}-learning-curves", "line") == contenders
        assert marks(page, f"{larger}{task}-learning-curves", "area") == contenders
        assert marks(page, f"{larger}{task}-learning-curves", "symbol") == len(curves)
        rates = rows[f"{larger}{task}-sensitivity"]
        assert marks(page, f"{larger}{task}-sensitivity", "symbol") == len(rates)
        assert marks(page, f"{larger}{task}-differences", "symbol") == len(rows[f"{larger}{task}-differences"])
    maps = [name for name in rows if "heat-map" in name]
    assert len(maps) == page.locator(".maps figure").count() > 4
    for name in maps:
        parts = [row["part"] for row in rows[name]]
        assert marks(page, name, "rect") == parts.count("cell")
        assert marks(page, name, "symbol") == parts.count("trial")


def test_links_lead_to_their_places(page: Any) -> None:
    page.click("nav a[href='#selection1']")
    assert page.evaluate("location.hash") == "#selection1"
    assert abs(page.locator("#selection1").bounding_box()["y"]) < 900
    assert page.locator(".funnel tr").count() == 3


def test_a_hover_tells_the_numbers_and_text_stays_text(page: Any, report: Report) -> None:
    page.locator("[data-chart=lineage] .mark-symbol.role-mark > path").last.hover(force=True)
    tip = page.locator("#vg-tooltip-element")
    tip.wait_for(state="visible")
    last = next(chart for chart in report.all_charts() if chart.name == "lineage").rows[-1]
    assert last["id"] in tip.inner_text()
    assert PLANTED in tip.inner_text()
    assert page.locator("img").count() == 0
    assert page.title() == "optsearch: quickstart"


def test_a_click_on_a_legend_singles_a_line_out(page: Any) -> None:
    lines = page.locator("[data-chart=cache] .mark-line.role-mark path")
    before = [lines.nth(i).get_attribute("opacity") for i in range(2)]
    page.locator("[data-chart=cache] .role-legend-symbol path").first.click(force=True)
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart=cache] .mark-line.role-mark path')]"
        ".filter((line) => Number(line.getAttribute('opacity')) < 0.5).length === 1"
    )
    assert before == ["1", "1"] or before == [None, None]


def test_the_filter_and_the_steps(page: Any, report: Report) -> None:
    rows = report.runs[0].board
    word = str(rows[0].program.body[0].function)
    page.fill("input[type=search]", word)
    shown = page.locator(".board [data-filter]:visible").count()
    assert shown == sum(word in str(row.program).lower() for row in rows)
    assert page.locator(".board output").inner_text() == f"{shown} shown"
    page.fill("input[type=search]", "")
    hidden = page.locator(".line-steps tr:visible").count()
    page.check("input[data-steps]")
    assert page.locator(".line-steps tr:visible").count() == len(report.runs[0].line) + 1 >= hidden


def test_light_and_dark(opened: Callable[..., Any]) -> None:
    page = opened(scheme="dark")

    def back() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = back()
    page.click("#theme")
    light = back()
    page.click("#theme")
    assert dark == back() != light
    axis = page.locator("[data-chart=cache] .role-axis-label text").first
    text = page.evaluate("getComputedStyle(document.body).color")
    assert axis.evaluate("(label) => getComputedStyle(label).fill") == text


@pytest.mark.parametrize("width", [390, 1200])
def test_legends_and_names_are_whole_and_text_is_as_large_as_that_of_the_page(
    opened: Callable[..., Any], width: int
) -> None:
    page = opened(width=width)
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    cut = page.evaluate("""[...document.querySelectorAll('[data-chart]')].flatMap((chart) => {
        const right = chart.getBoundingClientRect().right + 1;
        return [...chart.querySelectorAll('.role-legend text, .role-axis-title text, .role-mark text')]
            .filter((text) => text.textContent.includes('…') || text.getBoundingClientRect().right > right)
            .map((text) => chart.dataset.chart + ': ' + text.textContent);
    })""")
    assert cut == []
    note = page.evaluate("parseFloat(getComputedStyle(document.querySelector('figcaption')).fontSize)")
    sizes = page.evaluate("""[...document.querySelectorAll('[data-chart] svg text')]
        .map((text) => parseFloat(getComputedStyle(text).fontSize))""")
    assert min(sizes) >= note


def test_probes_are_folded_and_drawn(page: Any) -> None:
    probes = page.locator("details.probes")
    assert probes.get_attribute("open") is None
    assert page.locator("details.probes svg").count() == 8
    probes.locator("> summary").click()
    chart = page.locator("[data-chart=turn] svg")
    frame = page.locator("figure:has([data-chart=turn])").bounding_box()
    assert 0.8 * frame["width"] < chart.bounding_box()["width"] <= frame["width"]
    probes.locator("> summary").click()


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits(opened: Callable[..., Any], width: int) -> None:
    page = opened(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.locator("[data-chart] svg").evaluate_all("(all) => Math.max(...all.map((one) => one.clientWidth))")
    assert wide <= width


def test_on_paper_charts_stay_in_their_frames(opened: Callable[..., Any]) -> None:
    page = opened(width=794, scheme="dark")
    page.emulate_media(media="print")
    over = page.locator("figure").evaluate_all(
        "(all) => all.filter((one) => one.querySelector('svg').getBoundingClientRect().right >"
        " one.getBoundingClientRect().right + 1).length"
    )
    assert over == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".board details[open]").count() == 0
    page.pdf(path=None)
    assert page.locator(".board details[open]").count() == page.locator(".board details").count()
