"""README's images: the playground and an overlay for each task, from the repository's own example images.

`make screenshots` runs it: it serves zoo/, opens /ui in a headless Chromium as the tests do, and writes docs/images/.
"""

import io
import tempfile
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser

from tests.helpers.browser import ANSWERED, Visitor, chromium, visit
from tests.helpers.servers import Server

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "images"
WHOLE = "blood-cells"  # the model that the image of the whole page shows
VIEWPORT = {"width": 1200, "height": 750}
OVERLAY_PX = (400, 300)
QUALITY = 85


def main() -> None:
    """The default model of each task, looking at its first example."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Server(ROOT / "zoo", Path(folder) / "log") as server:
        models = [model for model in httpx.get(f"{server.url}/v1/models").json()["models"] if model["default"]]
        with chromium() as browser:
            for model in models:
                capture(browser, server.url, model["name"], model["task"])


def capture(browser: Browser, url: str, model: str, task: str) -> None:
    """The overlay as the page saves it, and for one model the page itself."""
    with visit(browser, url, viewport=VIEWPORT, color_scheme="light") as visitor:
        visitor.open().page.click(f"#examples [data-model={model}]")
        visitor.page.wait_for_selector(ANSWERED)
        visitor.settle()
        if model == WHOLE:
            write(Image.open(io.BytesIO(visitor.page.screenshot())), OUT / "playground.jpg")
        write(thumbnail(saved_overlay(visitor)), OUT / f"{task}.jpg")


def saved_overlay(visitor: Visitor) -> Image.Image:
    """What the button "Overlay PNG" saves."""
    with visitor.page.expect_download() as download:
        visitor.page.click("[data-export=overlay]")
    return Image.open(download.value.path()).convert("RGB")


def thumbnail(overlay: Image.Image) -> Image.Image:
    """The middle of the overlay in the one size that all have in README."""
    scale = max(side / length for side, length in zip(OVERLAY_PX, overlay.size, strict=True))
    small = overlay.resize([round(length * scale) for length in overlay.size], Image.Resampling.LANCZOS)
    left, top = ((length - side) // 2 for side, length in zip(OVERLAY_PX, small.size, strict=True))
    return small.crop((left, top, left + OVERLAY_PX[0], top + OVERLAY_PX[1]))


def write(image: Image.Image, path: Path) -> None:
    """As a JPEG with whole colours (subsampled, thin coloured lines would fade)."""
    image.convert("RGB").save(path, quality=QUALITY, subsampling=0, optimize=True)
    print(path.relative_to(ROOT), path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
