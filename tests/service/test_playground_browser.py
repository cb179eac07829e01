"""The playground in a real Chromium: what is dropped is drawn, at the right pixels, and can be exported."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import httpx
import numpy as np
import pytest

from foveal.imaging import drawing
from tests.helpers.browser import Visitor
from tests.helpers.playground_zoo import IMAGE, RECTANGLES

RED, GREEN, BLUE = (np.array(colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
CLASS = [np.array(drawing.colour_of(i)) for i in range(3)]
DIMMED = 0.3


def blend(over: np.ndarray, opacity: float, under: np.ndarray) -> np.ndarray:
    return over * opacity + under * (1 - opacity)


def near(got: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(got - expected).max() <= 3)


def on_edge(visitor: Visitor, label: str) -> np.ndarray:
    """The colour in the middle of the left line of an object's box, 2 px wide and inside of the box."""
    x1, y1, _, y2 = RECTANGLES[label]
    x, y = visitor.on_screen(x1, (y1 + y2) / 2)
    return visitor.colour_at(x + 1, y)


def asked(visitor: Visitor) -> dict[str, str]:
    """The parameters of the last request."""
    return {name: values[0] for name, values in parse_qs(urlparse(visitor.asked[-1]).query).items()}


# --- the four tasks: dropped, drawn, filtered, highlighted ---


def test_detection(visitor: Visitor) -> None:
    visitor.open("rectangles").drop_and_wait(IMAGE)
    assert [row.split()[0] for row in visitor.rows()] == ["red", "green", "blue"]
    assert near(visitor.pixel(40, 40), RED)  # the image itself
    assert [near(on_edge(visitor, label), CLASS[i]) for i, label in enumerate(RECTANGLES)] == [True] * 3
    assert "null" not in visitor.page.locator("#controls").inner_text()

    visitor.slide("score_threshold", 0.75)  # blue has 0.7
    assert [row.split()[0] for row in visitor.rows()] == ["red", "green"]
    assert near(on_edge(visitor, "blue"), BLUE), "its box is gone"
    assert len(visitor.asked) == 1, "raising the threshold asks nobody"
    with visitor.page.expect_request(lambda request: request.method == "POST"):
        visitor.slide("score_threshold", 0.3)  # below what was asked for
    with visitor.page.expect_request(lambda request: request.method == "POST"):
        visitor.slide("iou_threshold", 0.4)
    assert asked(visitor) == {"model": "rectangles@1", "score_threshold": "0.3", "iou_threshold": "0.4"}


def test_hovering_highlights_both_ways(visitor: Visitor) -> None:
    visitor.open("rectangles").drop_and_wait(IMAGE)
    visitor.page.mouse.move(*visitor.on_screen(112, 72))  # green's middle
    visitor.wait_until_highlighted("green")
    assert near(on_edge(visitor, "green"), CLASS[1])
    assert near(on_edge(visitor, "red"), blend(CLASS[0], DIMMED, RED))
    visitor.page.locator(".line").first.hover()
    visitor.wait_until_highlighted("red")
    assert near(on_edge(visitor, "red"), CLASS[0])
    assert near(on_edge(visitor, "green"), blend(CLASS[1], DIMMED, GREEN))


def test_instances(visitor: Visitor) -> None:
    visitor.open("halves").drop_and_wait(IMAGE)
    inside, outside = (96, 80), (130, 80)  # every mask is the left half of its box
    assert near(visitor.pixel(*inside), blend(CLASS[1], 0.45, GREEN))
    assert near(visitor.pixel(*outside), GREEN)
    assert near(visitor.pixel(4, 4), np.zeros(3))
    contour = visitor.pixel(111.9, 80)  # the last pixels of the mask, at its right edge
    assert near(contour, CLASS[1])
    answer = httpx.post(f"{visitor.url}/v1/instances?model=halves", content=IMAGE).json()["results"][0]["detections"]
    areas = [f"{row['label']} {row['area_px']:,} px".replace(",", " ") for row in answer]
    assert [row.rpartition(" ")[0] for row in visitor.rows()] == areas

    visitor.slide("opacity", 0.8)
    assert near(visitor.pixel(*inside), blend(CLASS[1], 0.8, GREEN))
    visitor.slide("score_threshold", 0.85)
    assert near(visitor.pixel(*inside), GREEN), "only red is above 0.85"
    assert len(visitor.asked) == 1
    visitor.slide("score_threshold", 0.5)
    visitor.page.mouse.move(*visitor.on_screen(30, 30))  # red's mask
    visitor.wait_until_highlighted("red")
    assert near(visitor.pixel(*inside), blend(CLASS[1], 0.8 * DIMMED, GREEN))
    visitor.page.mouse.move(*visitor.on_screen(60, 30))  # in red's box, but outside of its mask
    visitor.wait_until_highlighted(None)


def test_semantic(visitor: Visitor) -> None:
    visitor.open("bright").drop_and_wait(IMAGE)
    assert near(visitor.pixel(40, 40), blend(CLASS[1], 0.55, RED)), "bright: red is over 100"
    assert near(visitor.pixel(112, 72), blend(CLASS[0], 0.55, GREEN)), "dark: green has no red"
    x1, y1, x2, y2 = RECTANGLES["red"]
    share = (x2 - x1) * (y2 - y1) / (160 * 120)
    assert f"bright {100 * share:.1f} %" in " ".join(visitor.rows())

    visitor.slide("opacity", 0.2)
    assert near(visitor.pixel(40, 40), blend(CLASS[1], 0.2, RED))
    visitor.page.mouse.move(*visitor.on_screen(40, 40))
    visitor.wait_until_highlighted("bright")
    assert near(visitor.pixel(112, 72), blend(CLASS[0], 0.2 * DIMMED, GREEN))
    visitor.page.locator(".chip", has_text="bright").click()
    visitor.page.mouse.move(5, 5)
    visitor.wait_until_highlighted(None)
    assert near(visitor.pixel(40, 40), RED), "the class is switched off"
    assert len(visitor.asked) == 1


def test_a_class_that_is_switched_off_is_not_highlighted(visitor: Visitor) -> None:
    """The focus comes back to the row when the list is replaced; that must not highlight what is not drawn."""
    visitor.open("bright").drop_and_wait(IMAGE)
    chip = visitor.page.locator(".chip", has_text="bright")
    for shown in (False, True):
        chip.focus()
        visitor.page.keyboard.press("Space")
        visitor.settle()
        assert chip.get_attribute("aria-pressed") == str(shown).lower()
        assert visitor.page.locator(".line.highlighted").count() == int(shown)


def test_nothing_stays_highlighted_when_rows_are_replaced_under_the_pointer(visitor: Visitor) -> None:
    """The pointer leaves before the browser has noticed that there is another row under it."""
    visitor.open("rectangles").drop_and_wait(IMAGE)
    for _ in range(3):
        visitor.page.locator(".line").first.hover()
        visitor.wait_until_highlighted("red")
        visitor.evaluate(REPLACE_ROWS)
        visitor.page.mouse.move(5, 5)
        visitor.wait_until_highlighted(None)
        assert near(on_edge(visitor, "green"), CLASS[1])


# Draws the list anew, and keeps the page busy until the next movement of the pointer waits for it.
REPLACE_ROWS = """() => {
    const row = document.querySelector(".line");
    document.querySelector("#switch-labels").click();
    if (row.isConnected) throw new Error("expected a new row");
    setTimeout(() => {
        for (const end = performance.now() + 200; performance.now() < end; );
    });
}"""


def test_classification(visitor: Visitor) -> None:
    visitor.open("colours").drop_and_wait(IMAGE)
    rows = visitor.rows()
    answer = httpx.post(f"{visitor.url}/v1/classify", content=IMAGE).json()["results"][0]["classes"]
    assert rows == [f"{row['label']} {row['score']:.4f}" for row in answer]
    best = answer[0]["class_id"]
    assert near(visitor.pixel(0.2, 0.2), CLASS[best]), "the plate of the best class, in the corner"
    visitor.page.locator(".line").nth(1).hover()
    visitor.wait_until_highlighted(answer[1]["label"])
    assert near(visitor.pixel(0.2, 0.2), blend(CLASS[best], DIMMED, np.zeros(3)))
    visitor.slide("top_k", 1)
    assert visitor.rows() == rows[:1]
    assert len(visitor.asked) == 1


# --- errors and exports ---


def test_a_broken_file_shows_the_services_words(visitor: Visitor) -> None:
    visitor.expected = ["the server responded with a status of 422"]
    broken = IMAGE[:60]
    visitor.open("rectangles").drop(broken, "broken.png")
    visitor.page.wait_for_selector("#problem:not([hidden])")
    said = httpx.post(f"{visitor.url}/v1/detect", content=broken).json()
    shown = visitor.page.locator("#problem").inner_text()
    assert said["title"] in shown
    assert said["detail"] in shown
    assert "HTTP 422" in shown
    visitor.drop_and_wait(IMAGE)
    assert visitor.page.locator("#problem").is_hidden()


@pytest.mark.parametrize(
    ("model", "slider", "value"),
    [
        ("rectangles", "score_threshold", 0.75),
        ("halves", "score_threshold", 0.75),
        ("colours", "top_k", 2),
        ("bright", "opacity", 0.3),
    ],
)
def test_copied_commands_give_what_is_shown(
    visitor: Visitor, tmp_path: Path, model: str, slider: str, value: float
) -> None:
    name = 'it\'s a "$HOME" `scene`.png'
    (tmp_path / name).write_bytes(IMAGE)
    visitor.open(model).drop_and_wait(IMAGE, name)
    visitor.slide(slider, value)
    visitor.page.locator("#json-view summary").click()
    visitor.page.wait_for_function("() => document.querySelector('#json-view pre').textContent")
    shown = json.loads(visitor.page.locator("#json-view pre").inner_text())
    commands = {"curl": ["/bin/sh", "-c"], "python": [sys.executable, "-c"]}
    for kind, runner in commands.items():
        visitor.page.evaluate("navigator.clipboard.writeText('')")
        visitor.page.click(f"[data-export={kind}]")
        # not the status line, which still says "Copied." of the command before
        text = visitor.page.wait_for_function("() => navigator.clipboard.readText()").json_value()
        done = subprocess.run([*runner, text], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == shown
