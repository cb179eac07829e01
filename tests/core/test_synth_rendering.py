"""Outlines against OpenCV and arithmetic; who is seen when things cover each other."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.synth import outlines
from foveal.synth.outlines import Outline
from foveal.synth.rendering import Drawing, Shadow, Thing, compose

HW = (40, 60)
FLAT = {
    "heart": outlines.heart(20),
    "star": outlines.star(5, 20, 0.45),
    "triangle": outlines.regular(3, 20),
    "box": outlines.box(14, 9),
    "turned": outlines.turned(outlines.box(14, 9), 0.7),
}


def grid(reach: int = 25) -> tuple[np.ndarray, np.ndarray]:
    along = np.arange(-reach, reach, dtype=np.float32) + 0.5
    x, y = np.meshgrid(along, along)
    return x, y


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), corners=st.integers(3, 12))
def test_polygon_distance_is_opencvs(seed: int, corners: int) -> None:
    """Star-shaped, mostly concave polygons, at pixel centres."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(4, 20, corners)
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).astype(np.float32)
    x, y = grid(8)
    got = outlines.polygon([(float(a), float(b)) for a, b in points])(x, y)
    for at in np.ndindex(x.shape):
        inside_positive = cv2.pointPolygonTest(points, (float(x[at]), float(y[at])), True)
        assert got[at] == pytest.approx(-inside_positive, abs=1e-3)


@pytest.mark.parametrize("name", FLAT)
def test_distances_have_slope_one(name: str) -> None:
    """What makes the blend across an edge equally wide everywhere: |grad d| = 1, but for corners and ridges."""
    distance = FLAT[name](*grid())
    assert np.median(np.hypot(*np.gradient(distance))) == pytest.approx(1, abs=1e-3)
    assert max(np.abs(np.diff(distance, axis=axis)).max() for axis in (0, 1)) < 1 + 1e-4  # never further than you walk


def test_round_outlines_are_what_geometry_says() -> None:
    x, y = grid()
    radius = np.hypot(x, y)
    assert np.array_equal(outlines.disc(12)(x, y) < 0, radius < 12)
    assert np.array_equal(outlines.ring(20, 8)(x, y) < 0, (radius > 12) & (radius < 20))
    assert np.array_equal(outlines.moved(outlines.disc(5), 3, -4)(x, y) < 0, np.hypot(x - 3, y + 4) < 5)
    ellipse = (x / 2) ** 2 + (y * 2) ** 2 < 12**2
    assert np.array_equal(outlines.stretched(outlines.disc(12), 4)(x, y) < 0, ellipse)
    both = outlines.union([outlines.disc(9), outlines.moved(outlines.disc(9), 8, 0)])(x, y) < 0
    assert np.array_equal(both, (radius < 9) | (np.hypot(x - 8, y) < 9))


def thing(x: float, y: float, outline: Outline, colour: int, class_id: int | None = 0, **extra: Shadow) -> Thing:
    return Thing((x, y), 15, outline, lambda patch: np.full_like(patch.below, colour), 1, class_id, **extra)


def drawn(*things: Thing) -> Drawing:
    return compose(np.zeros((*HW, 3), np.float32), np.zeros(HW, np.uint8), things)


def test_the_top_thing_owns_the_pixel() -> None:
    drawing = drawn(thing(20, 20, outlines.box(10, 5), 100, 0), thing(28, 20, outlines.box(4, 4), 200, 1))
    expected = np.zeros(HW, np.uint16)
    expected[15:25, 10:30] = 1
    expected[16:24, 24:32] = 2
    assert np.array_equal(drawing.instance_map, expected)
    assert list(drawing.class_ids) == [0, 1]


def test_what_is_hidden_is_neither_drawn_nor_true() -> None:
    """The middle one is covered by the last; the first, which the middle one had covered, is seen again."""
    first = thing(20, 20, outlines.box(8, 8), 50, 0)
    middle = thing(24, 20, outlines.box(6, 6), 100, 1)
    last = thing(26, 20, outlines.box(7, 7), 200, 2)
    drawing = drawn(first, middle, last)
    assert list(drawing.class_ids) == [0, 2]
    assert np.array_equal(drawing.rgb, drawn(first, last).rgb)
    assert np.array_equal(drawing.instance_map, drawn(first, last).instance_map)


def test_scenery_covers_but_is_no_instance() -> None:
    drawing = drawn(thing(20, 20, outlines.box(8, 8), 100), thing(20, 24, outlines.box(3, 3), 200, None))
    assert list(drawing.class_ids) == [0]
    assert drawing.instance_map[24, 20] == 0
    assert drawing.class_map[24, 20] == 1
    assert (drawing.instance_map > 0).sum() == 16 * 16 - 6 * 6


@pytest.mark.parametrize("center", [(-3.0, 20.0), (58.5, 39.0), (30.0, 1.0)])
def test_things_are_cut_at_the_border(center: tuple[float, float]) -> None:
    y, x = np.indices(HW) + 0.5
    expected = np.hypot(x - center[0], y - center[1]) < 10
    assert np.array_equal(drawn(thing(*center, outlines.disc(10), 200)).instance_map > 0, expected)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_an_edge_pixel_shows_at_least_half_of_its_owner(seed: int) -> None:
    """The rule of the truth, read back from the image: white on black, over 127 means owned."""
    rng = np.random.default_rng(seed)
    outline = outlines.turned(outlines.star(5, 14, 0.45), rng.uniform(0, 6))
    drawing = drawn(thing(*rng.uniform((16, 16), (44, 24)), outline, 255))
    assert np.array_equal(drawing.rgb[:, :, 0] > 127.5, drawing.instance_map > 0)
    assert ((drawing.rgb > 0) & (drawing.rgb < 255)).any()  # and the edge is blended


def test_a_shadow_darkens_the_ground_and_moves_no_truth() -> None:
    ground = np.full((*HW, 3), 200, np.float32)
    flat = thing(25, 20, outlines.disc(8), 100)
    lifted = thing(25, 20, outlines.disc(8), 100, shadow=Shadow(4, 4, 1.0, 0.5))
    plain, shaded = (compose(ground, np.zeros(HW, np.uint8), [t]) for t in (flat, lifted))
    assert np.array_equal(plain.instance_map, shaded.instance_map)
    assert shaded.rgb[27, 32].mean() < plain.rgb[27, 32].mean() - 50
    assert np.array_equal(plain.rgb[20, 25], shaded.rgb[20, 25])
