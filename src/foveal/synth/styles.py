"""Styles by name (`STYLES`), and `draw`: seed and index -> Scene."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foveal.errors import BadRequest, UnknownName
from foveal.synth import aerial, blood, nuclei, shapes
from foveal.synth.noise import photograph
from foveal.synth.rendering import Drawing
from foveal.synth.scene import Scene

MIN_SIDE_PX = 32
MAX_SIDE_PX = 8192


@dataclass(frozen=True)
class Style:
    """A way to draw."""

    summary: str
    labels: tuple[str, ...]  # of instances
    map_labels: tuple[str, ...]  # of the class map
    draw_many: Callable[[np.random.Generator, tuple[int, int]], Drawing]
    draw_one: Callable[[np.random.Generator, tuple[int, int], int], Drawing] | None  # one thing of a class
    blur_px: float
    grain: float


STYLES: dict[str, Style] = {
    "aerial": Style(
        "a town in dry land from above", aerial.LABELS, aerial.MAP_LABELS, aerial.draw_many, None, 0.45, 2.5
    ),
    "blood": Style("a stained blood smear", blood.LABELS, blood.MAP_LABELS, blood.draw_many, blood.draw_one, 0.7, 1.6),
    "nuclei": Style(
        "cell nuclei in three kinds of microscopy", nuclei.LABELS, nuclei.MAP_LABELS, nuclei.draw_many, None, 0.6, 2.0
    ),
    "shapes": Style(
        "paper cut-outs on a table", shapes.LABELS, shapes.MAP_LABELS, shapes.draw_many, shapes.draw_one, 0.0, 2.0
    ),
}


def find_style(name: str) -> Style:
    """The style of that name. Raises UnknownName, which lists the choices."""
    if name not in STYLES:
        raise UnknownName.among("style", name, STYLES)
    return STYLES[name]


def draw(style: str, *, seed: int = 0, index: int = 0, image_hw: tuple[int, int] = (240, 320)) -> Scene:
    """Draw image number `index` of a seed: many things, as detectors and segmenters see them.

    The same arguments give the same scene, whatever else is drawn.

    Args:
        style: one of STYLES.
        seed: number of the series, at least 0.
        index: number of the image in the series, at least 0.
        image_hw: (height, width), each 32..8192.

    Raises:
        UnknownName: no such style. BadRequest: a size or number out of range.
    """
    found = find_style(style)
    rng = _source(style, "many", seed, index, image_hw)
    return _finish(found, found.draw_many(rng, image_hw), rng)


def draw_one(
    style: str, class_id: int, *, seed: int = 0, index: int = 0, image_hw: tuple[int, int] = (128, 128)
) -> Scene:
    """Draw one main thing of class `class_id`, as classifiers see it. Otherwise as `draw`.

    Raises:
        BadRequest: the style has no images of single things, or no such class.
    """
    found = find_style(style)
    if found.draw_one is None:
        able = ", ".join(name for name, each in STYLES.items() if each.draw_one)
        raise BadRequest(f"style {style!r} has no images of single things; expected one of {able}")
    if not 0 <= class_id < len(found.labels):
        raise BadRequest(f"class_id: expected 0..{len(found.labels) - 1} for style {style!r}, got {class_id}")
    rng = _source(style, "one", seed, index, image_hw)
    return _finish(found, found.draw_one(rng, image_hw, class_id), rng)


def _source(style: str, mode: str, seed: int, index: int, image_hw: tuple[int, int]) -> np.random.Generator:
    """Randomness of one image, independent of every other image's."""
    if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in image_hw):
        raise BadRequest(f"image_hw: expected sides of {MIN_SIDE_PX}..{MAX_SIDE_PX} px, got {image_hw}")
    if seed < 0 or index < 0:
        raise BadRequest(f"expected a seed and an index of at least 0, got seed {seed}, index {index}")
    return np.random.default_rng([seed, index, zlib.crc32(f"{style}/{mode}".encode())])


def _finish(style: Style, drawing: Drawing, rng: np.random.Generator) -> Scene:
    return Scene(
        rgb=photograph(drawing.rgb, rng, blur_px=style.blur_px, grain=style.grain),
        class_map=drawing.class_map,
        instance_map=drawing.instance_map,
        class_ids=drawing.class_ids,
        labels=style.labels,
        map_labels=style.map_labels,
    )
