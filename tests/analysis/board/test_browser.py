"""The page in a real browser, live and static: what runs say stays text, nothing is fetched, every width works."""

import json
import os
import re
import shutil
import socket
import threading

import numpy as np
import pytest
from boards import board_run
from guards import PATIENCE

from isogain.analysis.board.index import Index
from isogain.analysis.board.server import Server
from isogain.analysis.board.static import snapshot

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
NASTY = "<script>alert(1)<:script> \"'&<img src=x onerror=alert(1)>"
CLOSING = "</script><script>alert(1)</script>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: .ci/chromium installs it")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright (extra `dev`) is not there")
    with api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep with runs of every kind, and texts that want to be markup wherever a run can say something."""
    folder = tmp_path_factory.mktemp("sweep")
    for i, (reg, gain, depth) in enumerate(
        (reg, gain, depth) for reg in ("gain", "none") for gain in (0.9, 1.1) for depth in (2, 6)
    ):
        board_run(folder / str(i), reg, gain, depth)
    board_run(
        folder / NASTY,
        CLOSING,
        1.0,
        2,
        (f"+note={CLOSING}",),
        status="failed",
        error=f"ValueError: {CLOSING}",
    )
    (folder / NASTY / "log.txt").write_text(f"Traceback {CLOSING} {NASTY}")
    lost = board_run(folder / "lost", status=None)
    start = {"event": "start", "time": "2020-01-01T00:00:00+00:00", "pid": os.getpid()}
    (lost / "attempts.jsonl").write_text(json.dumps(start | {"host": socket.gethostname()}) + "\n")
    (folder / CLOSING.replace("/", ":")).mkdir()
    (folder / CLOSING.replace("/", ":") / "config.yaml").write_text(f"a: '{CLOSING}'\n")
    return folder


@pytest.fixture(scope="module", params=["live", "static"])
def url(request, sweep, tmp_path_factory):
    if request.param == "static":
        file = tmp_path_factory.mktemp("static") / "board.html"
        file.write_text(snapshot(Index(sweep)))
        yield file.as_uri()
        return
    with Server(Index(sweep)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


class Seen:
    """A page, with everything that it complained of and asked for."""

    def __init__(self, browser, url, width=1280, height=900, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page = self.context.new_page()
        self.wrong, self.asked = [], []
        self.page.on(
            "console", lambda m: m.type in ("error", "warning") and self.wrong.append(m.text)
        )
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)
        self.page.wait_for_selector("table.runs td, p.soft, h2 + *")

    def __enter__(self):
        return self.page

    def __exit__(self, *raised):
        self.context.close()
        if raised[0] is None:
            assert self.wrong == []


def test_what_runs_say_stays_text_and_nothing_is_asked_of_others(browser, url):
    seen = Seen(browser, url)
    with seen as page:
        page.wait_for_selector("table.runs")
        text = page.inner_text("main")
        assert f"ValueError: {CLOSING}" in text and NASTY in text
        page.get_by_role("link", name=NASTY).click()
        page.wait_for_selector("pre")
        assert CLOSING in page.inner_text("pre")
        assert page.locator("img").count() == 0 and page.locator("script").count() == 2
    origin = re.match(r"(http://[^/]*/|file://)", url)[1]
    assert all(asked.startswith(origin) for asked in seen.asked)


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (768, "dark"), (390, "light"), (360, "dark")]
)
def test_no_width_makes_the_page_scroll_sideways_in_light_and_dark(browser, url, width, scheme):
    with Seen(browser, url, width, scheme=scheme) as page:
        page.wait_for_selector("svg.chart path")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert dark == (scheme == "dark")
        page.locator("table.runs a").first.click()
        page.wait_for_selector("#title")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_panel_has_a_chart_with_an_axis_and_its_values_in_words(browser, url):
    with Seen(browser, url) as page:
        page.wait_for_selector("svg.chart path")
        figures = page.locator("figure:has(svg.chart)")
        titles = page.locator("figure:has(svg.chart) h3").all_inner_texts()
        assert any("orthogonality gap" in t for t in titles)
        assert sum("along the network" in t for t in titles) == 2
        for i in range(figures.count()):
            assert figures.nth(i).locator("svg text.label").count() == 1
            assert re.search(r"\d", figures.nth(i).locator("figcaption").inner_text())
        assert page.locator("table.heat td").count() >= 4
        assert page.locator("svg[aria-label^=parallel] path").count() >= 8


def test_groups_differ_by_their_dashes_too(browser, url):
    with Seen(browser, url) as page:
        page.wait_for_selector(".legend li")
        dashes = page.eval_on_selector_all(
            ".legend line", "nodes => nodes.map(n => n.getAttribute('stroke-dasharray'))"
        )
        assert len(dashes) == len(set(dashes)) == 3


def test_filter_sort_and_status_show_the_runs_they_say(browser, url):
    with Seen(browser, url) as page:
        names = lambda: page.locator("table.runs td:first-child").all_inner_texts()  # noqa: E731
        page.wait_for_selector("table.runs")
        page.get_by_label("Filter").fill("reg=gain init.gain>1")
        page.wait_for_function("document.querySelectorAll('table.runs tbody tr').length === 2")
        assert names() == ["2", "3"]
        page.locator("table.runs th button", has_text="model.depth").click()
        page.locator("table.runs th button", has_text="model.depth").click()
        assert names() == ["3", "2"]
        assert page.locator("th[aria-sort=descending]").inner_text().startswith("model.depth")
        page.get_by_label("Filter").fill("no.such=1")
        assert "no run has “no.such”" in page.inner_text("main")
        page.get_by_role("button", name="1 lost").click()
        page.wait_for_function("document.querySelectorAll('table.runs tbody tr').length === 1")
        assert names() == ["lost"]


def test_the_keyboard_reaches_a_chart_reads_it_and_opens_a_run(browser, url):
    with Seen(browser, url) as page:
        page.wait_for_selector("svg.chart path")
        page.locator("svg.chart").first.focus()
        page.keyboard.press("Home")
        first = page.locator("figcaption").first.inner_text()
        page.keyboard.press("ArrowRight")
        assert first.startswith("step 0:") and page.locator(
            "figcaption"
        ).first.inner_text().startswith("step 10:")
        page.locator("table.runs a").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#title")
        assert page.evaluate("document.activeElement.id") == "title"
        page.go_back()
        page.wait_for_selector("table.runs", state="visible")


def test_grouping_by_another_option_and_every_run(browser, url):
    with Seen(browser, url) as page:
        page.wait_for_selector("svg.chart path")
        page.get_by_label("Group by").select_option("model.depth")
        page.get_by_label("Show").select_option("every run")
        page.wait_for_selector("svg.chart path.thin")
        assert "2 (" in page.inner_text(".legend") and "6 (" in page.inner_text(".legend")


@pytest.mark.slow
def test_a_page_that_is_open_follows_runs_that_go_on(browser, tmp_path):
    with Server(Index(tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Seen(browser, server.url) as page:
            page.wait_for_selector("text=There are no runs in this folder yet")
            run = board_run(tmp_path / "a", status=None, steps=2)
            page.wait_for_selector("figcaption:has-text('step 10')")
            with (run / "metrics.csv").open("a") as file:
                file.write("770,1,0.25,0.5,1,1\r\n")
            page.wait_for_selector("figcaption:has-text('step 770')")
            (run / "summary.json").write_text(json.dumps({"status": "finished", "test/acc": 0.875}))
            page.wait_for_selector("td:has-text('0.875')")
        server.shutdown()


def test_hundreds_of_runs_are_drawn_in_seconds(browser, tmp_path):
    one = board_run(tmp_path / "0", steps=200)
    for i in range(1, 200):
        shutil.copytree(one, tmp_path / str(i))
        config = (one / "config.yaml").read_text().replace("seed: 0", f"seed: {i}")
        (tmp_path / str(i) / "config.yaml").write_text(config)
    file = tmp_path / "board.html"
    file.write_text(snapshot(Index(tmp_path)))
    with Seen(browser, file.as_uri()) as page:
        page.wait_for_selector("svg.chart path")
        took = page.evaluate("performance.now()")
        assert "200 finished" in page.inner_text("main") and took < 100_000
        assert np.isclose(page.locator("table.runs tbody tr").count(), 100)
