"""Chromium for tests of the playground, and `Visitor`: one watched visit of the page.

Every page is watched: an error on the console, a violation of the content security policy or a request to another host
fails the test that caused it.
"""

import base64
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

TIMEOUT_MS = 60_000  # a busy machine must not fail a test
ANSWERED = "#exports:not([hidden])"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, headless. Skips without one, unless FOVEAL_REQUIRE_BROWSER asks to fail (CI does)."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        reason = "no chromium on this machine (Debian: apt-get install chromium)"
        if os.environ.get("FOVEAL_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    flags = ["--no-sandbox", "--disable-gpu"]  # CI is root in a container without a graphics card
    flags += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


class Visitor:
    """One visit of /ui. `faults` must be empty at the end; `expected` are console errors that belong to the test."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.expected: list[str] = []
        self.faults: list[str] = []
        self.asked: list[str] = []  # addresses of requests to predict
        context.set_default_timeout(TIMEOUT_MS)
        self.page: Page = context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        self.page.on("request", lambda request: self._requested(request.url, request.method))
        report = "(event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)"
        self.page.add_init_script(f"addEventListener('securitypolicyviolation', {report})")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.faults.append(f"{message.type}: {message.text}")

    def _requested(self, url: str, method: str) -> None:
        if not url.startswith((self.url + "/", "blob:", "data:")):
            self.faults.append(f"request to another host: {url}")
        if method == "POST":
            self.asked.append(url)

    def open(self, model: str | None = None) -> "Visitor":
        """Load the page; choose a model by name."""
        self.page.goto(self.url + "/ui")
        self.page.wait_for_selector("#run:not([disabled])")
        if model is not None:
            self.page.select_option("#model", f"{model}@1")
        return self

    def drop(self, data: bytes, name: str, media_type: str = "image/png") -> None:
        """Drop a file on the image's place, as the mouse would."""
        transfer = self.page.evaluate_handle(
            """([data, name, type]) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const transfer = new DataTransfer();
                transfer.items.add(new File([bytes], name, {type}));
                return transfer;
            }""",
            [base64.b64encode(data).decode(), name, media_type],
        )
        self.page.dispatch_event("#canvases", "drop", {"dataTransfer": transfer})

    def drop_and_wait(self, data: bytes, name: str = "scene.png") -> None:
        """Drop an image and wait for its answer."""
        self.drop(data, name)
        self.page.wait_for_selector(ANSWERED)
        self.settle()

    def settle(self) -> None:
        """Two animation frames: requested drawing is done."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def slide(self, name: str, value: float) -> None:
        """Move a slider, as dragging does."""
        self.page.evaluate(
            """([name, value]) => {
                const slider = document.getElementById(`slider-${name}`);
                slider.value = value;
                slider.dispatchEvent(new Event("input", {bubbles: true}));
            }""",
            [name, value],
        )
        self.settle()

    def wait_until_highlighted(self, label: str | None) -> None:
        """Wait until the row of an object is highlighted (None: no row is), and its object drawn so."""
        if label is None:
            self.page.wait_for_selector(".line.highlighted", state="detached")
        else:
            self.page.wait_for_selector(f".line.highlighted:has-text('{label}')")
        self.settle()

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Wait until what is done inside has moved or zoomed the image."""
        before = self.page.locator("#overlay").get_attribute("data-view")
        yield
        self.page.wait_for_function("(view) => document.querySelector('#overlay').dataset.view !== view", arg=before)

    def rows(self) -> list[str]:
        """The text of each row of the result's list."""
        return [" ".join(text.split()) for text in self.page.locator("#result .line").all_inner_texts()]

    def scale(self) -> float:
        """Screen pixels for one of the image."""
        return float(self.page.locator("#overlay").get_attribute("data-view").split()[0])

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """A place of the image (continuous pixels) in CSS pixels of the page."""
        scale, left, top = map(float, self.page.locator("#overlay").get_attribute("data-view").split())
        bounds = self.page.locator("#overlay").bounding_box()
        ratio = self.page.evaluate("devicePixelRatio")
        return bounds["x"] + (x * scale + left) / ratio, bounds["y"] + (y * scale + top) / ratio

    def colour_at(self, x: float, y: float) -> npt.NDArray[np.int64]:
        """What is really on screen, all canvases and what lies above them, at a CSS pixel of the page: (3,) RGB."""
        shot = self.page.screenshot(clip={"x": int(x), "y": int(y), "width": 1, "height": 1})
        with Image.open(io.BytesIO(shot)) as opened:
            return np.array(opened.convert("RGB").getpixel((0, 0)))

    def pixel(self, x: float, y: float) -> npt.NDArray[np.int64]:
        """The colour on screen at a place of the image."""
        return self.colour_at(*self.on_screen(x, y))

    def evaluate(self, code: str, argument: Any = None) -> Any:
        """Run a function on the page."""
        return self.page.evaluate(code, argument)


@contextmanager
def visit(browser: Browser, url: str, **context: Any) -> Iterator[Visitor]:
    """A fresh visitor (no cookies, no stored key); at the end nothing may have gone wrong."""
    with browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | context)) as opened:
        visitor = Visitor(opened, url)
        yield visitor
        assert not visitor.faults, "\n".join(visitor.faults)
