from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from foveal.errors import UnknownName
from foveal.imaging import drawing
from foveal.imaging.decode import decode, read_header
from foveal.tasks.classification import DRAWN_CLASSES, Classification
from foveal.tasks.detections import Detections
from foveal.tasks.instance_masks import InstanceMasks
from foveal.tasks.semantic_segmentation import SemanticMap

LABELS = ("cell", "a label that is far too long for any small image", "x")
GREY = 90


def grey(image_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.full((*image_hw, 3), GREY, np.uint8)


def detections(image_hw: tuple[int, int], boxes: Any, soft: Any = None) -> Detections:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = np.linspace(0.99, 0.5, len(boxes), dtype=np.float32)
    masks = None if soft is None else InstanceMasks(np.repeat(soft[None], len(boxes), 0).astype(np.float32))
    return Detections(boxes, scores, np.arange(len(boxes)) % len(LABELS), LABELS, image_hw, masks)


def random_boxes(image_hw: tuple[int, int], count: int) -> npt.NDArray[np.float32]:
    height, width = image_hw
    edges = np.sort(np.random.default_rng(count).uniform(0, 1, (count, 2, 2)), axis=1).reshape(-1, 4)
    return (edges * [width, height, width, height]).astype(np.float32)


@pytest.fixture
def plates(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int, int]]:
    """Every plate of text that is written: left, top, right, bottom."""
    seen: list[tuple[int, int, int, int]] = []
    write = drawing._write

    def spy(model_input: Any, text: str, left_top: tuple[int, int], background: Any, pen: drawing.Pen) -> None:
        width, height = pen.size_px(text)
        seen.append((*left_top, left_top[0] + width, left_top[1] + height))
        write(model_input, text, left_top, background, pen)

    monkeypatch.setattr(drawing, "_write", spy)
    return seen


@pytest.mark.parametrize("image_hw", [(480, 640), (60, 90), (300, 40), (30, 700), (1400, 900)])
def test_labels_stay_in_the_image_and_off_each_other(image_hw: tuple[int, int], plates: Any) -> None:
    height, width = image_hw
    corners = [
        [0, 0, 5, 5],
        [width - 5, 0, width, 5],
        [0, height - 5, 5, height],
        [width - 5, height - 5, width, height],
    ]
    detections(image_hw, [*corners, *random_boxes(image_hw, 20)]).overlay(grey(image_hw))
    assert plates
    covered = np.zeros(image_hw, int)
    for left, top, right, bottom in plates:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1


def test_a_single_label_sits_on_its_box(plates: Any) -> None:
    detections((480, 640), [[100, 200, 300, 400]]).overlay(grey((480, 640)))
    ((left, _, _, bottom),) = plates
    assert (left, bottom) == (100, 200)


@pytest.mark.parametrize("image_hw", [(1, 1), (8, 200), (200, 3)])
def test_images_too_small_for_text_still_get_their_boxes(image_hw: tuple[int, int], plates: Any) -> None:
    drawn = detections(image_hw, [[0, 0, image_hw[1], image_hw[0]]]).overlay(grey(image_hw))
    assert not plates
    assert drawn[0, 0].tolist() == list(drawing.colour_of(0))


def test_text_is_readable_on_every_class_colour() -> None:
    def luminance(colour: drawing.Colour) -> float:
        c = np.array(colour) / 255
        return float(np.dot(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4), (0.2126, 0.7152, 0.0722)))

    for class_id in range(200):
        low, high = sorted(
            map(luminance, (drawing.colour_of(class_id), drawing.text_colour_on(drawing.colour_of(class_id))))
        )
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"WCAG AA, class {class_id}"


def test_neighbouring_classes_look_different() -> None:
    colours = np.array([drawing.colour_of(i) for i in range(12)], int)
    apart = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 999 * np.eye(12, dtype=int)
    assert apart.min() > 100
    assert len({drawing.colour_of(i) for i in range(100)}) == 100


def test_boxes_frame_the_pixels_inside_their_edges() -> None:
    drawn = detections((100, 100), [[20, 30, 60, 70]]).overlay(grey((100, 100)))
    rows, columns = np.nonzero((drawn[35:] != GREY).any(axis=2))  # below the label
    assert (columns.min(), columns.max(), rows.max() + 35) == (20, 59, 69)
    assert (drawn[45:55, 30:50] == GREY).all()


def test_masks_are_translucent_and_keep_their_holes() -> None:
    yy, xx = np.mgrid[:28, :28]
    radius = np.hypot(yy - 13.5, xx - 13.5)
    ring = (radius < 13) & (radius > 5)
    drawn = detections((300, 300), [[50, 50, 250, 250]], ring).overlay(grey((300, 300)))
    assert drawn[150, 150].tolist() == [GREY] * 3
    mixed = GREY * (1 - drawing.MASK_OPACITY) + np.array(drawing.colour_of(0)) * drawing.MASK_OPACITY
    assert np.abs(drawn[150, 90] - mixed).max() <= 1


def test_the_image_itself_is_left_alone_and_an_empty_result_draws_nothing() -> None:
    rgb = grey((50, 70))
    drawn = detections((50, 70), []).overlay(rgb)
    assert drawn is not rgb
    assert (drawn == GREY).all()
    detections((50, 70), [[0, 0, 50, 50]]).overlay(rgb)
    assert (rgb == GREY).all()


def test_class_map_with_legend_of_what_occurs(plates: Any) -> None:
    class_map = np.zeros((300, 400), np.uint8)
    class_map[200:] = 2
    drawn = SemanticMap(class_map, ("sky", "sea", "sand"), (300, 400)).overlay(grey((300, 400)))
    assert len(plates) == 2
    for row, class_id in ((150, 0), (290, 2)):
        mixed = GREY * (1 - drawing.MAP_OPACITY) + np.array(drawing.colour_of(class_id)) * drawing.MAP_OPACITY
        assert np.abs(drawn[row, 399] - mixed).max() <= 1


def test_panel_of_the_most_likely_classes(plates: Any) -> None:
    scores = np.linspace(0.3, 0.05, 8, dtype=np.float32)
    result = Classification(scores, np.arange(8), tuple("abcdefgh"), (300, 400))
    result.overlay(grey((300, 400)))
    assert len(plates) == DRAWN_CLASSES


def test_encoding() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    assert (decode(drawing.encode(rgb, "image/png")).rgb == rgb).all()
    assert read_header(drawing.encode(rgb, "image/jpeg")).format == "JPEG"
    with pytest.raises(UnknownName, match="unknown media type 'image/gif'; choices: image/jpeg, image/png"):
        drawing.encode(rgb, "image/gif")
