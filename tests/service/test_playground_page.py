"""The playground around its results: exports, API keys, image sources, the model page."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Browser
from pycocotools import mask as coco_mask

from foveal.formats import Entry
from foveal.formats.coco import CocoResults
from foveal.imaging import drawing
from foveal.inference.pipeline import Predictor
from foveal.options import Options
from foveal.packages.package import ModelPackage
from tests.helpers.browser import ANSWERED, Visitor, visit
from tests.helpers.playground_zoo import IMAGE, PIXELS, RECTANGLES, png, write_zoo
from tests.helpers.servers import Server

CLASS = [np.array(drawing.colour_of(i)) for i in range(3)]


def saved(visitor: Visitor, kind: str) -> Path:
    with visitor.page.expect_download() as download:
        visitor.page.click(f"[data-export={kind}]")
    return Path(download.value.path())


def test_json_and_coco_are_those_of_service_and_command_line(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open("halves").drop_and_wait(IMAGE)
    served = httpx.post(f"{visitor.url}/v1/instances?model=halves@1", content=IMAGE).json()
    assert json.loads(saved(visitor, "json").read_bytes()) == served
    predictor = Predictor(ModelPackage.open(write_zoo(tmp_path / "zoo") / "halves" / "1"))
    written = CocoResults(predictor.manifest.pipeline, Options())
    entry = Entry("scene.png", predictor(IMAGE))
    written.assemble(io.BytesIO(written.write(entry)), array := io.BytesIO())
    assert json.loads(saved(visitor, "coco").read_bytes()) == json.loads(array.getvalue())


def test_the_overlay_is_saved_at_full_size(visitor: Visitor) -> None:
    visitor.open("halves").drop_and_wait(IMAGE)
    visitor.page.uncheck("#switch-labels")
    visitor.page.locator("#overlay").hover()
    with visitor.moving():
        visitor.page.mouse.wheel(0, -500)  # what is saved does not depend on the view
    with Image.open(saved(visitor, "overlay")) as opened:
        overlay = np.asarray(opened.convert("RGB")).astype(int)
    assert overlay.shape == PIXELS.shape
    blended = CLASS[1] * 0.45 + PIXELS[80, 96] * 0.55
    assert np.abs(overlay[80, 96] - blended).max() <= 3
    assert np.abs(overlay[80, 130] - PIXELS[80, 130]).max() <= 1, "right half: no mask"
    assert np.abs(overlay[80, 80] - CLASS[1]).max() <= 3, "the box"


def test_colours_are_the_servers(visitor: Visitor) -> None:
    visitor.open()
    got = visitor.evaluate(
        "async () => { const {colourOf} = await import('/ui/colour.js'); return [...Array(60).keys()].map(colourOf); }"
    )
    assert np.abs(np.array(got) - np.array([drawing.colour_of(i) for i in range(60)])).max() <= 1


def test_run_lengths_are_read_as_pycocotools_reads_them(visitor: Visitor) -> None:
    rng = np.random.default_rng(7)
    bitmaps = [(rng.random((37, 53)) < density).astype(np.uint8) for density in (0.0, 0.02, 0.5, 0.98, 1.0)]
    rles = [coco_mask.encode(np.asfortranarray(bitmap)) for bitmap in bitmaps]
    visitor.open()
    got = visitor.evaluate(
        """async (rles) => {
            const {Runs} = await import('/ui/rle.js');
            const {paintObjects} = await import('/ui/objects.js');
            const display = {masks: true, opacity: 1};
            return rles.map(({size, counts}) => {
                const runs = new Runs({size, counts});
                const image = new ImageData(size[1], size[0]);
                const rows = [{id: 0, runs, colour: [9, 9, 9]}];
                paintObjects(image, {kind: 'map', rows, highlighted: null, display}, {scale: 1, x: 0, y: 0}, 1);
                const pixels = [...Array(size[0] * size[1]).keys()];
                return [pixels.map((i) => image.data[4 * i + 3] / 255),
                        pixels.map((i) => Number(runs.has(i % size[1], Math.floor(i / size[1]))))];
            });
        }""",
        [{"size": rle["size"], "counts": rle["counts"].decode()} for rle in rles],
    )
    for bitmap, (painted, formatted) in zip(bitmaps, got, strict=True):
        assert np.array_equal(np.array(painted).reshape(bitmap.shape), bitmap)
        assert np.array_equal(np.array(formatted).reshape(bitmap.shape), bitmap)


def test_a_moved_canvas_shows_what_a_new_one_would(visitor: Visitor) -> None:
    """Panning shifts what is painted and paints only what comes into sight: the pixels must be those of a whole one."""
    rng = np.random.default_rng(5)
    rows = []
    for i in range(12):
        x, y = rng.integers(0, (120, 80))
        bitmap = np.zeros((120, 160), np.uint8)
        bitmap[y : y + 40, x : x + 40] = rng.random((40, 40)) < 0.9
        mask = coco_mask.encode(np.asfortranarray(bitmap))
        box = [float(x), float(y), float(x + 40), float(y + 40)]
        rows.append({"id": i, "box": box, "mask": {"size": mask["size"], "counts": mask["counts"].decode()}})
    visitor.open()
    differences = visitor.evaluate(MOVES, {"rows": rows, "steps": rng.integers(-30, 30, (40, 2)).tolist()})
    assert len(differences) == 40
    assert max(differences) <= 1


MOVES = """async ({rows, steps}) => {
    const modules = ["layer", "rle", "objects", "paint"].map((name) => import(`/ui/${name}.js`));
    const [{Layer, PixelLayer}, {Runs}, {paintObjects}, {paintImage}] = await Promise.all(modules);
    const canvas = () => {
        const made = Object.assign(document.createElement("canvas"), {width: 200, height: 150});
        made.getContext("2d", {willReadFrequently: true}); // else Chromium warns
        return made;
    };
    const source = canvas().getContext("2d");
    for (let i = 0; i < 300; i++) {
        source.fillStyle = `hsl(${i * 37} 80% 50%)`;
        source.fillRect((i * 53) % 200, (i * 31) % 150, 17, 11);
    }
    const image = {levels: [source.canvas], levelFor: () => source.canvas};
    const size = {width: 160, height: 120};
    const display = {boxes: true, masks: true, labels: false, opacity: 0.45};
    const scene = {kind: "objects", highlighted: 4, display,
                   rows: rows.map((row) => ({...row, runs: new Runs(row.mask), colour: [20 * row.id, 90, 255]}))};
    const kinds = [
        [PixelLayer, (layer, view, area) => paintObjects(layer.imageData, scene, view, 1, area)],
        [Layer, (layer, view, area) => paintImage(layer.context, image, size, view, area)],
    ];
    const moving = kinds.map(([Kind]) => new Kind(canvas()));
    const view = {scale: 1.7, x: -20, y: -10};
    return steps.map(([right, down]) => {
        view.x += right;
        view.y += down;
        return Math.max(...kinds.map(([Kind, paint], i) => {
            const both = [moving[i], new Kind(canvas())];
            for (const layer of both) layer.draw(scene, view, (area) => paint(layer, view, area));
            const [a, b] = both.map(({context}) => context.getImageData(0, 0, 200, 150).data);
            return a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at])), 0);
        }));
    });
}"""


def test_an_api_key_is_asked_for_and_used(browser: Browser, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"open sesame").hexdigest()
    server = Server(write_zoo(tmp_path / "zoo"), tmp_path / "log", api_keys=digest)
    with server, visit(browser, server.url) as visitor:
        visitor.expected = ["the server responded with a status of 401"]
        visitor.page.goto(visitor.url + "/ui")
        for key in ("wrong", "open sesame"):
            visitor.page.wait_for_selector("#problem:has-text('HTTP 401')")
            visitor.page.fill("dialog[open] input", key)
            with visitor.page.expect_response("**/v1/models"):
                visitor.page.press("dialog input", "Enter")
        visitor.page.wait_for_selector("#run:not([disabled])")
        visitor.page.click("#examples [data-model=colours]")  # a golden image: data, so it came with the key
        visitor.page.wait_for_selector(ANSWERED)
        shown = json.loads(saved(visitor, "json").read_bytes())
        visitor.page.evaluate("delete Navigator.prototype.clipboard")  # as on plain http: shown instead of copied
        for kind, runner in {"curl": ["/bin/sh", "-c"], "python": [sys.executable, "-c"]}.items():
            visitor.page.click(f"[data-export={kind}]")
            copied = visitor.page.locator("dialog textarea").input_value()
            visitor.page.click("dialog button")
            assert "sesame" not in copied, "the key stays out of clipboards"
            environment = os.environ | {"FOVEAL_KEY": "open sesame"}
            answer = subprocess.check_output([*runner, copied], env=environment, text=True, timeout=120)
            assert json.loads(answer)["results"] == shown["results"], "the example is fetched, then sent"


def test_a_page_opened_too_early_waits_for_the_service(visitor: Visitor) -> None:
    visitor.expected = ["the server responded with a status of 503"]
    problem = {"title": "Not ready", "detail": "models are being loaded", "status": 503}
    early = {"status": 503, "headers": {"retry-after": "1"}, "content_type": "application/problem+json"}
    visitor.page.route("**/v1/models", lambda route: route.fulfill(**early, body=json.dumps(problem)), times=1)
    visitor.page.goto(visitor.url + "/ui")
    visitor.page.wait_for_selector("#problem:has-text('models are being loaded')")
    visitor.page.wait_for_selector("#run:not([disabled])")
    assert visitor.page.locator("#problem").is_hidden()


def test_examples_paste_choice_and_camera(visitor: Visitor) -> None:
    visitor.open()
    visitor.page.click("#examples [data-model=rectangles]")
    visitor.page.wait_for_selector(ANSWERED)
    visitor.page.set_input_files("#files", [{"name": "chosen.png", "mimeType": "image/png", "buffer": IMAGE}])
    visitor.page.wait_for_selector("#thumbs li:nth-child(2) .badge:has-text('3')")
    visitor.evaluate(
        """async (url) => {
            const blob = await (await fetch(url)).blob();
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([blob], "pasted.png", {type: blob.type}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData}));
        }""",
        "/v1/models/rectangles@1/golden/scene.png",
    )
    visitor.page.wait_for_selector("#thumbs li:nth-child(3) .badge:has-text('3')")
    visitor.page.click(".image-bar [data-add=camera]")
    visitor.page.click("dialog button.primary:not([disabled])")
    visitor.page.wait_for_selector("#thumbs li:nth-child(4) .badge:not(:has-text('…'))")
    visitor.page.click("#thumbs li:nth-child(2) .remove")
    assert visitor.page.locator("#thumbs li").count() == 3
    visitor.page.click("#example-menu")
    visitor.page.click("dialog .example")
    visitor.page.wait_for_selector("#thumbs li:nth-child(4) .badge:has-text('3')")


def test_the_empty_page_offers_an_example_of_each_task(visitor: Visitor) -> None:
    visitor.open("halves")
    cards = visitor.page.locator("#examples .example")
    names = ["colours", "halves", "rectangles", "bright"]
    assert [text.split("\n")[0] for text in cards.all_inner_texts()] == [f"{name} version 1" for name in names]
    visitor.page.click("#examples [data-model=bright]")
    visitor.page.wait_for_selector(ANSWERED)
    assert visitor.page.locator("#model").input_value() == "bright@1", "a card chooses its model, too"
    assert "bright" in " ".join(visitor.rows())


def test_a_turned_photo_and_its_objects_are_shown_upright(visitor: Visitor) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned a quarter to the right
    file = io.BytesIO()
    Image.fromarray(np.rot90(PIXELS)).save(file, "JPEG", quality=95, subsampling=0, exif=exif)
    visitor.open("halves").drop_and_wait(file.getvalue(), "turned.jpg")
    assert [row.split()[0] for row in visitor.rows()] == ["red", "green", "blue"]
    for label, (x1, y1, x2, y2) in RECTANGLES.items():
        y, right_half = (y1 + y2) / 2, (x1 + 3 * x2) / 4  # beside the mask, inside of the box
        assert np.abs(visitor.pixel(right_half, y) - PIXELS[int(y), int(right_half)]).max() <= 8, label
        assert np.abs(visitor.pixel(x1 + 0.2, y) - CLASS[list(RECTANGLES).index(label)]).max() <= 8, label


def test_what_the_browser_cannot_show_is_answered_all_the_same(visitor: Visitor) -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "TIFF")
    visitor.open("halves").drop_and_wait(file.getvalue(), "scan.tiff")
    assert len(visitor.rows()) == 3
    assert "cannot show" in visitor.page.locator("#status").inner_text()
    grey = np.array([0x8A, 0x8F, 0x98])
    assert np.abs(visitor.pixel(130, 80) - grey).max() <= 1, "beside the mask"
    assert np.abs(visitor.pixel(96, 80) - (CLASS[1] * 0.45 + grey * 0.55)).max() <= 2, "the mask"


def test_several_images_are_run_one_after_the_other(visitor: Visitor) -> None:
    visitor.expected = ["the server responded with a status of 422"]
    files = [png(np.roll(PIXELS, 4 * i, axis=1)) for i in range(3)] + [IMAGE[:50]]
    payloads = [{"name": f"{i}.png", "mimeType": "image/png", "buffer": data} for i, data in enumerate(files)]
    visitor.open("rectangles").page.set_input_files("#files", payloads)
    visitor.page.wait_for_selector("#thumbs li:nth-child(4) .badge.bad:has-text('422')")
    assert visitor.page.locator("#thumbs .badge").all_inner_texts() == ["3", "3", "3", "422"]
    assert len(visitor.asked) == 4
    visitor.page.click("#thumbs li:nth-child(4) .thumb")
    visitor.page.wait_for_selector("#problem:has-text('HTTP 422')")


def test_the_model_page_tells_what_the_service_knows(visitor: Visitor) -> None:
    visitor.open("rectangles").page.click("#model-page")
    visitor.page.wait_for_selector("dialog article h2")
    text = visitor.page.locator("dialog").inner_text()
    model = httpx.get(f"{visitor.url}/v1/models/rectangles").json()
    for formatted in (
        *model["labels"],
        model["digest"],
        model["architecture"],
        model["provider"]["actual"],
        "3 images",
    ):
        assert formatted in text
    assert model["parity"]["criterion"] in text
    assert visitor.page.locator("dialog article b").inner_text() == "what is drawn"
    assert visitor.page.locator("dialog article td").all_inner_texts() == ["1", "2"]
