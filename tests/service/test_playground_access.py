"""Accessibility of the playground: keyboard, narrow screens, light and dark, contrast."""

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.helpers.browser import Visitor, visit
from tests.helpers.playground_zoo import IMAGE
from tests.helpers.servers import Server

FOCUSED = "() => document.activeElement.id || document.activeElement.textContent.trim()"
WIDTHS_PX = (1280, 390, 320)


def test_everything_is_reached_by_tab(visitor: Visitor) -> None:
    visitor.open("halves").drop_and_wait(IMAGE)
    reached = set()
    for _ in range(60):
        visitor.page.keyboard.press("Tab")
        reached.add(visitor.evaluate(FOCUSED))
    controls = {"model", "model-page", "key", "theme", "overlay", "run", "example-menu", "slider-opacity"}
    controls |= {f"slider-{name}" for name in ("score_threshold", "iou_threshold")} | {
        f"switch-{name}" for name in ("boxes", "masks")
    }
    words = {"Copy as curl", "Copy as Python", "Overlay PNG", "COCO", "Answer as JSON", "+ Add", "Fit", "×"}
    assert controls | words <= reached


def test_objects_and_view_follow_the_keys(visitor: Visitor) -> None:
    visitor.open("rectangles").drop_and_wait(IMAGE)
    visitor.page.locator(".line").first.focus()
    visitor.page.keyboard.press("ArrowDown")
    visitor.wait_until_highlighted("green")
    overlay = visitor.page.locator("#overlay")
    views = [overlay.get_attribute("data-view")]
    overlay.focus()
    for key in ("+", "ArrowLeft", "1", "0"):
        with visitor.moving():
            visitor.page.keyboard.press(key)
        views.append(overlay.get_attribute("data-view"))
    fit, closer, moved, actual, again = ([float(part) for part in view.split()] for view in views)
    assert closer[0] == pytest.approx(1.25 * fit[0])
    assert moved == [closer[0], closer[1] + 60, closer[2]]
    assert actual[0] == 1
    assert again == fit


def test_the_wheel_zooms_into_what_is_under_the_pointer(visitor: Visitor) -> None:
    visitor.open("rectangles").drop_and_wait(IMAGE)
    place = (600, 400)  # whole pixels, as pointers report them
    left, top = visitor.on_screen(0, 0)
    before = visitor.scale()
    x, y = (place[0] - left) / before, (place[1] - top) / before  # of the image
    visitor.page.mouse.move(*place)
    for _ in range(3):
        with visitor.moving():
            visitor.page.mouse.wheel(0, -200)
    assert visitor.scale() == pytest.approx(before * np.exp(3 * 200 / 400))
    assert visitor.on_screen(x, y) == pytest.approx(place, abs=3), "the first view was rounded to whole pixels"
    visitor.page.mouse.down()
    with visitor.moving():
        visitor.page.mouse.move(place[0] + 50, place[1] - 30)
    visitor.page.mouse.up()
    assert visitor.on_screen(x, y) == pytest.approx((place[0] + 50, place[1] - 30), abs=3)


def test_a_chosen_theme_is_kept(visitor: Visitor) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    visitor.open()
    light = visitor.evaluate(ground)  # headless Chromium's own scheme
    for _ in ("light", "dark"):
        visitor.page.click("#theme")
    assert visitor.evaluate(ground) != light
    visitor.page.reload()
    assert visitor.page.locator("#theme").inner_text() == "Theme: dark"
    assert visitor.evaluate(ground) != light


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_and_nothing_sticks_out(browser: Browser, playground: Server, scheme: str) -> None:
    with visit(browser, playground.url, color_scheme=scheme) as visitor:
        visitor.open("halves")
        for state in ("empty", "answered", "model page"):
            if state == "answered":
                visitor.drop_and_wait(IMAGE)
            elif state == "model page":
                visitor.page.click("#model-page")
                visitor.page.wait_for_selector("dialog article h2")
            assert visitor.evaluate(LOW_CONTRASTS) == [], state
            for width in WIDTHS_PX:
                visitor.page.set_viewport_size({"width": width, "height": 844})
                assert visitor.evaluate("() => document.documentElement.scrollWidth") <= width, state
                cut_off = visitor.evaluate(CUT_OFF)
                assert cut_off == [], (state, width)


# The contrast of WCAG 2.1 between each text and what lies under it; at least 4.5 is asked for.
LOW_CONTRASTS = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const paint = (...colours) => {
        context.clearRect(0, 0, 1, 1);
        for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const luminance = (rgb) => rgb.reduce((sum, c, i) => sum + linear(c / 255) * [0.2126, 0.7152, 0.0722][i], 0);
    const low = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || !element.checkVisibility() || element.matches(":disabled, option, optgroup")) continue;
        const grounds = [];
        for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
        const [a, b] = [paint(...grounds), paint(...grounds, getComputedStyle(element).color)].map(luminance);
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) low.push(`${element.tagName} ${element.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return low;
}"""

# Buttons and selects whose text does not fit into them: nobody can read what they do.
CUT_OFF = """() => [...document.querySelectorAll("button, select")]
    .filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1)
    .map((each) => each.id || each.textContent)"""
