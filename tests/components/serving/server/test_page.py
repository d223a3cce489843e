"""Tests of the typing page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from tests.chromium import chromium
from tests.components.serving.server.process import Server

WIDTHS = (1280, 390)
PATIENCE = 30_000  # milliseconds
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, running: Server) -> Iterator[Page]:
    """The page, opened; whatever it complains about or asks of others fails the test."""
    page = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
    page.set_default_timeout(PATIENCE)
    troubles: list[str] = []
    page.on("console", lambda said: troubles.extend(_complaint(said)))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda asked: troubles.extend(_foreign(asked, running)))
    page.goto(running.url)
    yield page
    assert troubles == []
    page.close()


def _complaint(said: ConsoleMessage) -> list[str]:
    """What the console says is wrong, but for refusals, which Chromium itself notes there."""
    refusal = said.text.startswith("Failed to load resource") and "status of 400" in said.text
    return [said.text] if said.type in ("error", "warning") and not refusal else []


def _foreign(asked: Request, server: Server) -> list[str]:
    return [] if asked.url.startswith((server.url, "data:")) else [asked.url]


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_row_is_scored(page: Page, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_label("Model").select_option("ranking")
    page.get_by_label("price").fill("50")
    page.get_by_label("tags").fill("a")
    page.get_by_label("ts").fill("1970-01-01")
    page.get_by_label("price").press("Enter")

    answer = page.get_by_role("region", name="Answer")
    expect(answer).to_contain_text("0.8750")
    expect(page.get_by_label("score")).to_have_js_property("value", 0.875)
    expect(page.locator("#about")).to_contain_text("version")
    assert overflow(page) <= 0


@pytest.mark.parametrize("width", WIDTHS)
def test_a_sentence_is_translated(page: Page, width: int):
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_label("Model").select_option("translation")
    page.get_by_label("Sentence (English)").fill("red car " + "long" * 100)
    page.get_by_label("Translations").select_option("2")
    page.keyboard.press("Tab")
    page.get_by_label("Sentence (English)").press("Enter")

    items = page.get_by_role("listitem")
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("car red")
    expect(page.locator("#about")).to_contain_text("English to German")
    assert items.first.locator("span").first.get_attribute("lang") == "de"
    assert overflow(page) <= 0


def test_a_wrong_value_is_refused_in_words(page: Page):
    page.get_by_label("Model").select_option("ranking")
    page.get_by_label("price").fill("dear")
    with page.expect_response("**/v1/models/ranking:predict"):
        page.get_by_role("button", name="Score").click()

    expect(page.get_by_role("alert")).to_have_text(
        "No answer: price: got 'dear'; takes a number or null."
    )
    expect(page.get_by_role("region", name="Answer")).to_be_hidden()


def test_what_is_answered_is_text_and_never_markup(page: Page):
    page.get_by_label("Model").select_option("translation")
    page.get_by_label("Sentence (English)").fill("<img src=x onerror=alert(1)>")
    page.get_by_role("button", name="Translate").click()

    expect(page.get_by_role("listitem").first).to_contain_text("onerror=alert(1)> src=x <img")
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read(page: Page, scheme: str):
    """Texts and the paper under them differ by 4.5 to 1, as WCAG 2 asks for."""
    page.emulate_media(color_scheme=scheme)
    ratios = page.evaluate(
        """() => {
          const part = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
          const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number);
            return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
          const paper = (e) => { for (; e; e = e.parentElement) {
            const c = getComputedStyle(e).backgroundColor;
            if (!/, 0\\)$/.test(c)) return c; } };
          return [...document.querySelectorAll("h1, p, label, input, button, select, textarea")]
            .map((e) => [light(getComputedStyle(e).color), light(paper(e))])
            .map(([a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
        }"""
    )

    assert len(ratios) > 8
    assert min(ratios) >= 4.5
