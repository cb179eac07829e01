"""Drawings and their truth: seen pixels, tight boxes, the same image every time."""

import numpy as np
import pytest

from foveal.errors import BadRequest, UnknownName
from foveal.synth import STYLES, Scene, draw, draw_one, rectangles

ONE = [name for name, style in STYLES.items() if style.draw_one]


def check_truth(scene: Scene) -> None:
    """What holds for every scene."""
    assert scene.rgb.dtype == np.uint8
    assert scene.rgb.shape == (*scene.image_hw, 3)
    assert scene.class_map.shape == scene.image_hw
    assert scene.class_map.max() < len(scene.map_labels)
    assert set(np.unique(scene.instance_map)) - {0} == set(range(1, len(scene) + 1))
    for i, box in enumerate(scene.boxes_xyxy):
        ys, xs = np.nonzero(scene.mask(i))
        assert tuple(box) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        name = scene.labels[int(scene.class_ids[i])]
        assert (scene.class_map[ys, xs] == scene.map_labels.index(name)).all()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("index", range(3))
def test_truth_is_what_can_be_seen(style: str, index: int) -> None:
    scene = draw(style, seed=3, index=index, image_hw=(120, 161))
    check_truth(scene)
    assert scene.labels == STYLES[style].labels
    assert np.array_equal(scene.masks.sum(axis=0) > 0, scene.instance_map > 0)  # no pixel has two owners


@pytest.mark.parametrize("style", STYLES)
def test_a_image_depends_on_its_own_number_only(style: str) -> None:
    first = draw(style, seed=1, index=5, image_hw=(64, 80))
    draw(style, seed=1, index=4, image_hw=(64, 80))
    again = draw(style, seed=1, index=5, image_hw=(64, 80))
    assert np.array_equal(first.rgb, again.rgb)
    assert np.array_equal(first.instance_map, again.instance_map)
    assert not np.array_equal(first.rgb, draw(style, seed=2, index=5, image_hw=(64, 80)).rgb)


@pytest.mark.parametrize("style", ONE)
def test_one_thing_of_the_wanted_class(style: str) -> None:
    for class_id in range(len(STYLES[style].labels)):
        scene = draw_one(style, class_id, index=class_id, image_hw=(96, 96))
        check_truth(scene)
        assert list(scene.class_ids) == [class_id]


def test_a_ring_keeps_its_hole() -> None:
    ring = STYLES["shapes"].labels.index("ring")
    scene = draw_one("shapes", ring, seed=0, index=0, image_hw=(128, 128))
    x1, y1, x2, y2 = scene.boxes_xyxy[0]
    assert not scene.mask(0)[int((y1 + y2) / 2), int((x1 + x2) / 2)]


def test_things_differ_from_their_ground() -> None:
    """The pixels belong to the truth: inside a shape the image differs from its surroundings on average."""
    scene = draw("shapes", seed=0, index=0)
    ground = scene.rgb[scene.class_map == 0].astype(float)
    for i in range(len(scene)):
        inside = scene.rgb[scene.mask(i)].astype(float)
        assert np.abs(inside.mean(axis=0) - ground.mean(axis=0)).max() > 15


def test_rectangles_can_be_rebuilt_from_the_image() -> None:
    scene = rectangles((50, 70), 9, seed=4)
    check_truth(scene)
    assert len(scene) == 9
    for i in range(len(scene)):
        colours = np.unique(scene.rgb[scene.mask(i)], axis=0)
        assert len(colours) == 1
        assert np.array_equal((scene.rgb == colours[0]).all(axis=2), scene.mask(i))


def test_nonsense_is_refused() -> None:
    with pytest.raises(UnknownName, match="choices: aerial, blood, nuclei, shapes"):
        draw("oil")
    with pytest.raises(BadRequest, match=r"sides of 32\.\.8192"):
        draw("blood", image_hw=(8, 100))
    with pytest.raises(BadRequest, match="at least 0"):
        draw("blood", seed=-1)
    with pytest.raises(BadRequest, match="no images of single things"):
        draw_one("aerial", 0)
    with pytest.raises(BadRequest, match=r"class_id: expected 0\.\.5"):
        draw_one("shapes", 6)
