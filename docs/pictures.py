"""README's pictures: the playground and an overlay for each model, from the repository's own examples.

`make screenshots` runs it: it serves zoo/, opens /ui in a headless Chromium as the tests do, and writes docs/pictures/.
"""

import tempfile
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import Browser

from tests.browser import ANSWERED, chromium, visit
from tests.servers import Server

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "pictures"
SHOWN = ("nuclei", "blood-cells")  # the first of these that is served stands for the whole page
OVERLAY_PX = 420
MAX_BYTES = 150_000


def write(picture: Image.Image, path: Path) -> None:
    """As a PNG with as many colours as keep it small."""
    for colours in (256, 128, 64, 32):
        picture.convert("RGB").quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
        if path.stat().st_size < MAX_BYTES:
            break
    print(path.relative_to(ROOT), path.stat().st_size, "bytes")


def photograph(browser: Browser, url: str, model: dict[str, str], *, whole: bool) -> None:
    """The overlay of a model's first example as the page saves it; and with `whole` the page itself."""
    with visit(browser, url, viewport={"width": 1160, "height": 760}, color_scheme="light") as visitor:
        visitor.open()
        visitor.page.select_option("#model", f"{model['name']}@{model['version']}")
        visitor.page.click("#examples .thumb")
        visitor.page.wait_for_selector(ANSWERED)
        visitor.settle()
        if whole:
            shot = Path(tempfile.mkdtemp()) / "shot.png"
            visitor.page.screenshot(path=shot)
            write(Image.open(shot), OUT / "playground.png")
        with visitor.page.expect_download() as download:
            visitor.page.click("[data-export=overlay]")
        overlay = Image.open(download.value.path())
        overlay.thumbnail((OVERLAY_PX, OVERLAY_PX))
        write(overlay, OUT / f"{model['name']}.png")


def main() -> None:
    """Every model that has an example picture of its own."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Server(ROOT / "zoo", Path(folder) / "log") as server:
        models = [m for m in httpx.get(f"{server.url}/v1/models").json()["models"] if "/ui/" in m["examples"][0]]
        names = {model["name"] for model in models}
        chosen = next((name for name in SHOWN if name in names), models[0]["name"])
        with chromium() as browser:
            for model in models:
                photograph(browser, server.url, model, whole=model["name"] == chosen)


if __name__ == "__main__":
    main()
