"""The playground and answers of every kind: what is shown follows from the answer, not from the name of a task."""

import io
import json
from typing import Any
from urllib.parse import parse_qs, urlparse

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route

from tests.helpers.browser import Visitor
from tests.helpers.playground_zoo import HW, IMAGE, png

ENTRY = {
    "image": {"name": None, "width": HW[1], "height": HW[0], "exif_orientation": 1},
    "depth_m": {"median": 2.5, "<b>range</b>": [0.5, 7.25]},
}
ANNOTATED = png(np.full((*HW, 3), (30, 60, 200), np.uint8))
DEFAULTS = {"smoothing_px": 2.5, "score_threshold": 0.5, "classes": None}

SCORED = {"label": "cat", "class_id": 0, "score": 0.5}
BOXED = SCORED | {"box": [0, 0, 9, 9]}
RLE = {"label": "cat", "format": "rle", "size": [4, 4], "counts": "04"}
MAP = {"labels": ["cat"], "coverage": {"cat": 0.25}, "mask": {"format": "rle", "classes": [RLE]}}


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"classes": [SCORED]}, "classes"),
        ({"segmentation": MAP}, "map"),
        ({"detections": [BOXED]}, "objects"),
        ({"detections": []}, "objects"),
        ({}, "other"),
        ({"classes": ["cat"]}, "other"),
        ({"classes": []}, "other"),
        ({"detections": [SCORED | {"box": [0, 0, 9]}]}, "other"),
        ({"detections": {"count": 3}}, "other"),
        ({"segmentation": "a map"}, "other"),
        ({"segmentation": MAP | {"mask": {"format": "png", "base64": ""}}}, "other"),
    ],
)
def test_the_kind_is_read_off_the_entry(visitor: Visitor, entry: dict[str, Any], kind: str) -> None:
    visitor.open()
    code = "async (entry) => (await import('/ui/result.js')).kindOf(entry)"
    assert visitor.evaluate(code, entry) == kind


def serve_depth(visitor: Visitor) -> None:
    """A model of a task that is unknown to the page, listed with the others."""
    listed = httpx.get(f"{visitor.url}/v1/models").json()
    model = next(model for model in listed["models"] if model["name"] == "rectangles")
    changes = {"name": "depths", "task": "depth-estimation", "endpoint": "/v1/depth", "defaults": DEFAULTS}
    listed["models"].append(model | changes)

    def answer(route: Route) -> None:
        if route.request.headers["accept"] == "image/png":
            return route.fulfill(body=ANNOTATED, content_type="image/png")
        headers = {"server-timing": "inference;dur=1.5", "x-foveal-provider": "cpu", "x-request-id": "7"}
        reference = {"name": "depths", "version": "1", "task": "depth-estimation", "digest": ""}
        body = json.dumps({"model": reference, "results": [ENTRY]})
        return route.fulfill(body=body, headers=headers, content_type="application/json")

    visitor.page.route("**/v1/models", lambda route: route.fulfill(json=listed))
    visitor.page.route("**/v1/depth?**", answer)


def test_an_unknown_task_is_shown_as_json_and_as_the_services_annotated_image(visitor: Visitor) -> None:
    serve_depth(visitor)
    visitor.open("depths").drop_and_wait(IMAGE)
    assert json.loads(visitor.page.locator("#result pre").inner_text()) == ENTRY
    assert np.abs(visitor.pixel(80, 60) - [30, 60, 200]).max() <= 1
    assert "depth estimation" in visitor.page.locator("#summary").inner_text()
    assert visitor.page.locator("#display").inner_text() == "", "nothing to choose about a drawing made by the service"
    assert visitor.page.locator("[data-export=coco]").is_hidden()
    with visitor.page.expect_download() as download:
        visitor.page.click("[data-export=overlay]")
    with Image.open(download.value.path()) as saved, Image.open(io.BytesIO(ANNOTATED)) as annotated:
        assert np.array_equal(np.asarray(saved), np.asarray(annotated))


def test_parameters_of_an_unknown_task_are_those_of_its_defaults(visitor: Visitor) -> None:
    serve_depth(visitor)
    visitor.open("depths").drop_and_wait(IMAGE)
    labels = visitor.page.locator("#parameters label span").all_inner_texts()
    assert labels == ["Score above", "smoothing px"]
    with visitor.page.expect_response("**/v1/depth?**"), visitor.page.expect_response("**/v1/depth?**"):
        visitor.page.fill("#field-smoothing_px", "4")
        visitor.page.press("#field-smoothing_px", "Tab")
    asked = [{k: v[0] for k, v in parse_qs(urlparse(url).query).items()} for url in visitor.asked]
    first = {"model": "depths@1", "smoothing_px": "2.5", "score_threshold": "0.5"}
    assert asked[:2] == [first, first], "the answer, and the annotated image of the same request"
    assert asked[2] == first | {"smoothing_px": "4"}
    with visitor.page.expect_request(lambda request: "score_threshold=0.75" in request.url):
        visitor.slide("score_threshold", 0.75)  # nothing is filtered in the page: it does not know the rows
    visitor.page.select_option("#model", "rectangles@1")
    visitor.page.wait_for_selector("#result .line")
    assert np.abs(visitor.pixel(40, 40) - [255, 0, 0]).max() <= 3, "the original image again"
