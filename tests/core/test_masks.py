import base64
import io
import time
import tracemalloc

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from torchvision.models.detection.roi_heads import paste_masks_in_image

from foveal.imaging import masks
from foveal.imaging.masks import Bitmap

RNG = np.random.default_rng(7)


def soft_masks(count: int, size: int = 28) -> npt.NDArray[np.float32]:
    """Blobs and noise, as a mask head gives them: smooth, with values on both sides of 0.5."""
    coarse = RNG.random((count, 5, 5), np.float32)
    return np.stack([np.clip(cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1) for c in coarse])


def boxes_inside(count: int, image_hw: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Boxes of all sizes, many touching the border, some tiny, one the whole image."""
    height, width = image_hw
    first = RNG.uniform(-0.2, 1.0, (count, 2)) * [width, height]
    size = np.exp(RNG.uniform(np.log(0.3), np.log(max(image_hw)), (count, 2)))
    boxes = np.hstack([first, first + size])
    boxes[0] = [0, 0, width, height]
    return np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)


def torchvisions(soft: npt.NDArray, boxes: npt.NDArray, image_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    pasted = paste_masks_in_image(torch.from_numpy(soft)[:, None], torch.from_numpy(boxes), image_hw)
    return (pasted[:, 0] > 0.5).numpy()


@pytest.mark.parametrize("image_hw", [(479, 641), (301, 1003), (1080, 333), (17, 5), (1, 1)])
def test_pasted_pixels_are_torchvisions_to_one_in_a_million(image_hw: tuple[int, int]) -> None:
    soft, boxes = soft_masks(40), boxes_inside(40, image_hw)
    expected = torchvisions(soft, boxes, image_hw)
    got = np.stack([masks.paste(s, b, image_hw).full() for s, b in zip(soft, boxes, strict=True)]) > 0
    assert expected.any()
    assert np.count_nonzero(expected != got) <= expected.size / 1e6


@pytest.mark.parametrize("size", [7, 14, 28, 56])
def test_any_mask_size(size: int) -> None:
    soft, boxes = soft_masks(10, size), boxes_inside(10, (200, 300))
    got = np.stack([masks.paste(s, b, (200, 300)).full() for s, b in zip(soft, boxes, strict=True)]) > 0
    assert (torchvisions(soft, boxes, (200, 300)) == got).all()


def encoded_by_pycocotools(bitmap: Bitmap) -> str:
    return coco_mask.encode(np.asfortranarray(bitmap.full()))["counts"].decode()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_rle_is_pycocotools_byte_for_byte(data: st.DataObject) -> None:
    """Any pixels at any place: full height (runs go on into the next column), last pixel set, nothing set."""
    height, width = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    top, left = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    rows, columns = data.draw(st.tuples(st.integers(0, height - top), st.integers(0, width - left)))
    bits = data.draw(st.lists(st.integers(0, 1), min_size=rows * columns, max_size=rows * columns))
    bitmap = Bitmap(np.array(bits, np.uint8).reshape(rows, columns), top, left, (height, width))
    assert masks.rle(bitmap) == {"size": [height, width], "counts": encoded_by_pycocotools(bitmap)}
    assert bitmap.area_px == bitmap.full().sum()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_rings_filled_even_odd_are_the_bitmap(data: st.DataObject) -> None:
    """Exact before simplification, with holes, islands in holes and pixels that touch at corners only."""
    rows, columns = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    bits = data.draw(st.lists(st.integers(0, 1), min_size=rows * columns, max_size=rows * columns))
    bitmap = Bitmap(np.array(bits, np.uint8).reshape(rows, columns), 2, 3, (12, 14))
    rings = masks.rings(bitmap)
    assert (masks.fill_even_odd([ring.tolist() for ring in rings], (12, 14)) == (bitmap.full() > 0)).all()
    for ring in rings:  # closed, along pixel edges, no corner that is none
        steps = np.diff(np.vstack([ring, ring[:1]]), axis=0)
        assert ((steps == 0).sum(axis=1) == 1).all()
        assert ((steps[:, 0] == 0) != (np.roll(steps, 1, axis=0)[:, 0] == 0)).all()


def test_pixels_that_touch_at_a_corner_have_rings_of_their_own() -> None:
    for roi in ([[1, 0], [0, 1]], [[0, 1], [1, 0]]):
        assert [len(ring) for ring in masks.rings(Bitmap(np.array(roi, np.uint8), 0, 0, (2, 2)))] == [4, 4]


def test_fill_even_odd_agrees_with_pycocotools_on_a_big_convex_polygon() -> None:
    """The oracle of the oracle: pycocotools rasterises by its own rule, a border pixel apart."""
    ring = [[20.0, 10.0], [80.0, 22.0], [70.0, 90.0], [15.0, 60.0]]
    mine = masks.fill_even_odd([ring], (100, 100))
    theirs = coco_mask.decode(coco_mask.frPyObjects([np.ravel(ring).tolist()], 100, 100))[:, :, 0] > 0
    assert np.count_nonzero(mine & theirs) / np.count_nonzero(mine | theirs) > 0.97


def ring_shape() -> Bitmap:
    yy, xx = np.mgrid[:80, :90]
    radius = np.hypot(yy - 40, xx - 45)
    return Bitmap(((radius < 36) & (radius > 14)).astype(np.uint8), 5, 7, (101, 133))


def full_size(bitmap: Bitmap, mask_format: str) -> npt.NDArray[np.bool_]:
    """A rendered mask read back by a library that is not ours, where there is one."""
    mask = masks.RENDERERS[mask_format](bitmap)
    if mask_format == "rle":
        return coco_mask.decode({"size": mask["size"], "counts": mask["counts"]}) > 0
    if mask_format == "png":
        image = Image.open(io.BytesIO(base64.b64decode(mask["base64"])))
        assert image.mode == "1"
        return np.asarray(image)
    return masks.fill_even_odd(mask["polygons"], bitmap.image_hw)


@pytest.mark.parametrize("mask_format", ["rle", "polygon", "png"])
def test_a_ring_keeps_its_hole_in_every_format(mask_format: str) -> None:
    bitmap = ring_shape()
    got = full_size(bitmap, mask_format)
    assert got.shape == bitmap.image_hw
    assert not got[45, 52], "the hole was filled"
    assert got[45, 52 - 25]
    if mask_format == "polygon":
        assert len(masks.polygons(bitmap)["polygons"]) == 2
        assert_within_tolerance(bitmap, got)
    else:
        assert (got == bitmap.full()).all()
    assert (masks.decode(masks.RENDERERS[mask_format](bitmap), bitmap.image_hw) == got).all()


def assert_within_tolerance(bitmap: Bitmap, got: npt.NDArray[np.bool_]) -> None:
    """Each pixel that a simplified polygon gets wrong has a neighbour of the other side.

    Its centre is at most 0.75 px from the true outline, and so at most 0.75 + 0.71 from the centre of a pixel beyond.
    """
    exact = np.pad(bitmap.full(), 1)  # outside of the image counts as outside of the object
    wrong = np.pad(got, 1) != exact
    for value in (0, 1):
        distance = cv2.distanceTransform((exact == value).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        assert distance[wrong & (exact == value)].max(initial=0) <= masks.POLYGON_TOLERANCE_PX + 0.7072


def test_polygons_stay_within_their_tolerance_and_are_shorter() -> None:
    corners = kept = 0
    for soft, box in zip(soft_masks(30), boxes_inside(30, (300, 400)), strict=True):
        bitmap = masks.paste(soft, box, (300, 400))
        assert_within_tolerance(bitmap, full_size(bitmap, "polygon"))
        corners += sum(map(len, masks.rings(bitmap)))
        kept += sum(map(len, masks.polygons(bitmap)["polygons"]))
    assert kept < 0.6 * corners


@pytest.mark.parametrize("mask_format", ["rle", "polygon", "png"])
def test_one_pixel_and_no_pixel(mask_format: str) -> None:
    for roi in (np.ones((1, 1), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((0, 3), np.uint8)):
        bitmap = Bitmap(roi, 4, 6, (9, 11))
        assert (full_size(bitmap, mask_format) == bitmap.full()).all()


def test_300_masks_at_1080p_in_little_memory_and_time() -> None:
    image_hw = (1080, 1920)
    soft, boxes = soft_masks(300), boxes_inside(300, image_hw)
    tracemalloc.start()
    started = time.thread_time()
    for one, box in zip(soft, boxes, strict=True):
        masks.rle(masks.paste(one, box, image_hw))
    seconds, (_, peak) = time.thread_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6, f"{peak / 1e6:.0f} MB"
    assert seconds < 10, f"{seconds:.1f} s of CPU"
