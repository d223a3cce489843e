"""The pages in a headless Chromium: quiet, self-contained, no wider than the screen, usable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.report.runs import CASES

NAMES = (*CASES, "index", "empty")
MAX_BYTES = 2_000_000
READABLE = 4.5
"""The contrast that WCAG 2.2 asks of text (level AA)."""

PAIRS = [
    (ink, ground)
    for ground in ("--page", "--card", "--good-tint", "--bad-tint", "--warn-tint", "--grey-tint")
    for ink in ("--ink", "--muted")
] + [
    *(("--good", ground) for ground in ("--card", "--good-tint")),
    *(("--bad", ground) for ground in ("--card", "--bad-tint")),
    *(("--candidate", "--card"), ("--warn", "--warn-tint")),
]
"""Colours of text, and what they stand on."""


def opened(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str]]:
    """A page, and what went wrong with it; grows while the page is used."""
    page = browser.new_page(**options)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
        ),
    )
    page.goto(path.as_uri())
    return page, wrong


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", NAMES)
def test_pages_are_quiet_and_fit(
    browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str, tmp_path: Path
) -> None:
    size = {"width": width, "height": 900}
    page, wrong = opened(browser, pages[name], viewport=size, color_scheme=scheme)
    wide = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    picture = page.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    title = page.title()
    page.close()
    assert wrong == []
    assert wide[0] <= wide[1]
    assert len(picture) > 5000  # something was drawn
    dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < 3 * 128
    assert dark == (scheme == "dark")
    assert title.endswith(" · BabelRank")
    assert pages[name].stat().st_size < MAX_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_structure(browser: Any, pages: dict[str, Path], name: str) -> None:
    page, _ = opened(browser, pages[name])
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('th:not([scope]), svg:not([aria-hidden]):not([role=img]),"
        "svg[role=img]:not([aria-label]), table:not(:has(th))')].map(e => e.outerHTML)"
    )
    scripts = page.evaluate("document.scripts.length")
    broken = page.evaluate("[...document.images].length")
    page.close()
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert unnamed == []
    assert scripts == 1
    assert broken == 0  # hostile text made no element


def test_every_control_is_reached_by_tab_and_shows_it(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["ranking"], viewport={"width": 390, "height": 900})
    wanted = page.evaluate(
        "[...document.querySelectorAll('button, a[href], summary')]"
        ".filter(e => e.checkVisibility()).map((e, i) => e.dataset.number = String(i))"
    )
    reached, outlines = set(), set()
    for _ in range(200):
        page.keyboard.press("Tab")
        number, outline = page.evaluate(
            "[document.activeElement.dataset.number ?? '',"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if number:
            reached.add(number)
            outlines.add(outline)
    page.close()
    assert wanted
    assert reached == set(wanted)
    assert outlines == {"solid"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Any, pages: dict[str, Path], scheme: str) -> None:
    page, _ = opened(browser, pages["ranking"], color_scheme=scheme)
    read = "name => getComputedStyle(document.documentElement).getPropertyValue(name)"
    colours = {name: page.evaluate(read, name) for pair in PAIRS for name in pair}
    page.close()
    ratios = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < READABLE} == {}


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """The relative luminance of #rgb or #rrggbb."""
    digits = colour.strip().removeprefix("#")
    pairs = [c * 2 for c in digits] if len(digits) == 3 else re.findall("..", digits)
    parts = [int(pair, 16) / 255 for pair in pairs]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.478, abs=1e-3)


def column(page: Any, place: int) -> list[str]:
    """The texts of a column of the table of slices that are seen."""
    found: list[str] = page.evaluate(
        "place => [...document.querySelectorAll('.slices tbody tr')]"
        ".filter(row => row.checkVisibility()).map(row => row.cells[place].textContent.trim())",
        place,
    )
    return found


def test_slices_are_sorted_by_click_and_by_key(browser: Any, pages: dict[str, Path]) -> None:
    page, wrong = opened(browser, pages["ranking"])
    before = column(page, 0)
    assert before[:2] == ["hour=0", "hour=1"]
    page.get_by_role("button", name="Examples").click()
    head = page.locator(".slices thead th", has_text="Examples")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, 0)[:2] == ["hour=23", "hour=22"]
    page.keyboard.press("Enter")  # the button still has the focus
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 0)[0] == "hour=0"
    name = page.get_by_role("button", name="Slice")
    name.focus()
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") is None
    assert column(page, 0) == before  # by the numbers in the names: 2 before 10
    change = page.get_by_role("button", name="AUC: change")
    change.click()
    assert column(page, 0)[-1] == "hour=9"  # no baseline: last, whichever way
    change.click()
    assert column(page, 0)[-1] == "hour=9"
    page.close()
    assert wrong == []


def test_many_slices_fold_and_unfold(browser: Any, pages: dict[str, Path]) -> None:
    page, wrong = opened(browser, pages["huge"])
    assert len(column(page, 0)) == 30
    page.locator(".slices").get_by_role("button", name="AUC", exact=True).click()
    assert column(page, 0)[0] == "item=4994"  # the best of all, and not of those that were shown
    page.get_by_role("button", name="Show all 1,000").click()
    assert len(column(page, 0)) == 1000
    assert page.get_by_role("button", name="Show all").count() == 0
    page.close()
    assert wrong == []


def test_the_largest_of_very_many_slices_are_shown(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["huge"])
    said = page.locator(".note-line", has_text="verdict.json").text_content()
    page.get_by_role("button", name="Show all 1,000").click()
    names = column(page, 0)
    page.close()
    assert said == "The 1,000 largest of 5,000 slices; verdict.json has all."
    assert names[3:5] == ["x" * 199 + "…"] * 2  # each has a row, though they look the same
    assert names[5:] == [f"item={i}" for i in range(4000, 4995)]


def test_print_shows_everything(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["huge"])
    page.emulate_media(media="print")
    assert len(column(page, 0)) == 1000
    assert page.pdf()[:5] == b"%PDF-"
    page.close()


def test_without_script_tables_are_whole(browser: Any, pages: dict[str, Path]) -> None:
    page, wrong = opened(browser, pages["huge"], java_script_enabled=False)
    assert page.locator(".slices tbody tr").count() == 1000
    assert page.locator("button").count() == 0
    page.close()
    assert wrong == []


def test_no_other_script_runs(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    html = pages["ranking"].read_text(encoding="utf-8")
    hostile = tmp_path / "hostile.html"
    hostile.write_text(html.replace("<main>", "<main><script>window.hit = 1</script>"))
    page, wrong = opened(browser, hostile)
    assert page.evaluate("window.hit") is None
    page.close()
    assert any("Content Security Policy" in one for one in wrong)


def test_the_index_is_sorted_and_links_to_reports(browser: Any, pages: dict[str, Path]) -> None:
    page, wrong = opened(browser, pages["index"])
    first = page.locator(".index tbody tr").first
    assert first.locator("a").get_attribute("href") == "runs/r30/report.html"
    page.get_by_role("button", name="AUC").click()
    assert first.locator("td").nth(2).text_content() == "0.760"
    page.close()
    assert wrong == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["ranking", "huge"])
def test_lineage_stays_in_its_boxes(
    browser: Any, pages: dict[str, Path], name: str, width: int
) -> None:
    page, _ = opened(browser, pages[name], viewport={"width": width, "height": 900})
    beyond = page.evaluate(
        "[...document.querySelectorAll('.lineage text')].filter(e => e.checkVisibility())"
        ".map(text => { let rect = text; while (rect.tagName != 'rect')"
        " rect = rect.previousElementSibling;"
        " const [a, b] = [text.getBBox(), rect.getBBox()];"
        " return [text.textContent, b.x + b.width - a.x - a.width]; })"
    )
    page.close()
    assert len(beyond) > 5
    assert [one for one in beyond if one[1] < 0] == []


def test_right_to_left_sentences_begin_at_the_right(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["translation"])
    ways = page.evaluate(
        "[...document.querySelectorAll('.sentences dd[lang=he]')]"
        ".map(e => getComputedStyle(e).direction)"
    )
    marks = page.evaluate("[...document.querySelectorAll('.sentences ins, .sentences del')].length")
    page.close()
    assert set(ways) == {"rtl"}
    assert marks > 0
