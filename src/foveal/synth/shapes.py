"""Style `shapes`: paper cut-outs on a coloured table."""

import colorsys
from collections.abc import Callable

import numpy as np

from foveal.synth import outlines
from foveal.synth.noise import Plane, fractal, vignette
from foveal.synth.outlines import Outline
from foveal.synth.place import scatter
from foveal.synth.rendering import Drawing, Patch, Shade, Shadow, Thing, compose

LABELS = ("circle", "heart", "ring", "square", "star", "triangle")
MAP_LABELS = ("background", *LABELS)

# Each fits into a circle of the given radius; the factors make them look equally large.
_OUTLINES: dict[str, Callable[[float], Outline]] = {
    "circle": lambda r: outlines.disc(0.86 * r),
    "heart": lambda r: outlines.heart(0.96 * r),
    "ring": lambda r: outlines.ring(0.92 * r, 0.40 * r),
    "square": lambda r: outlines.box(0.70 * r, 0.70 * r),
    "star": lambda r: outlines.star(5, r, 0.45),
    "triangle": lambda r: outlines.regular(3, 0.98 * r),
}


def draw_many(rng: np.random.Generator, image_hw: tuple[int, int]) -> Drawing:
    """Three to about twelve shapes, some of them partly covered."""
    unit = min(image_hw)
    room = image_hw[0] * image_hw[1] / unit**2
    radii = rng.uniform(0.08, 0.19, rng.integers(3, 4 + int(6 * room))) * unit
    hue = float(rng.uniform())
    places = scatter(rng, image_hw, sorted(radii, reverse=True), spacing=0.78)
    things = [_shape(rng, place, int(rng.integers(len(LABELS))), hue) for place in places]
    order = rng.permutation(len(things))
    return compose(*_table(rng, image_hw, hue), [things[i] for i in order])


def draw_one(rng: np.random.Generator, image_hw: tuple[int, int], class_id: int) -> Drawing:
    """One shape of the given class: any place, size, turn and colour, among scraps that are no shape."""
    unit = min(image_hw)
    radius = float(rng.uniform(0.20, 0.40)) * unit
    low, high = 0.85 * radius, np.array(image_hw[::-1]) - 0.85 * radius
    x, y = rng.uniform(np.minimum(low, high), np.maximum(low, high))
    hue = float(rng.uniform())
    scraps = [_scrap(rng, image_hw, hue) for _ in range(rng.integers(3, 10))]
    return compose(*_table(rng, image_hw, hue), [*scraps, _shape(rng, (x, y, radius), class_id, hue)])


def _shape(rng: np.random.Generator, place: tuple[float, float, float], class_id: int, hue: float) -> Thing:
    x, y, radius = place
    outline = outlines.turned(_OUTLINES[LABELS[class_id]](radius), rng.uniform(0, 2 * np.pi))
    return Thing((x, y), radius, outline, _paper(rng, hue, radius), class_id + 1, class_id, _lift(radius))


def _scrap(rng: np.random.Generator, image_hw: tuple[int, int], hue: float) -> Thing:
    """A thin strip or a crumb of paper: clutter, background in the truth."""
    unit = min(image_hw)
    x, y = rng.uniform((0, 0), image_hw[::-1])
    long, thick = rng.uniform(0.02, 0.16) * unit, rng.uniform(0.006, 0.014) * unit
    outline = outlines.turned(outlines.capsule(-long, 0, long, 0, thick), rng.uniform(0, np.pi))
    return Thing((x, y), long + thick, outline, _paper(rng, hue, long), 0, None, _lift(4 * thick))


def _lift(radius: float) -> Shadow:
    return Shadow(0.06 * radius, 0.10 * radius, max(0.09 * radius, 0.5), 0.38)


def _paper(rng: np.random.Generator, table_hue: float, radius: float) -> Shade:
    """Coloured paper, lit from the top left; its hue keeps clear of the table's."""
    hue = table_hue + rng.uniform(0.12, 0.88)
    base = _rgb(hue, rng.uniform(0.45, 0.85), rng.uniform(0.72, 1.0))
    slope = float(rng.uniform(0.04, 0.12))

    def shade(patch: Patch) -> Plane:
        light = 1 - slope * (patch.x + 2 * patch.y) / radius
        light += 0.025 * fractal(rng, patch.x.shape, coarsest_px=max(radius / 4, 2))
        light += 0.10 * np.exp(-(((patch.distance + 1.5) / 1.2) ** 2))  # the cut edge catches the light
        return base * light[:, :, None]

    return shade


def _table(rng: np.random.Generator, image_hw: tuple[int, int], hue: float) -> tuple[Plane, np.ndarray]:
    """Ground: one colour with grain, sometimes with stripes or a checked cloth."""
    height, width = image_hw
    unit = min(image_hw)
    base = _rgb(hue, rng.uniform(0.10, 0.42), rng.uniform(0.50, 0.95))
    light = 1 + 0.035 * fractal(rng, image_hw, coarsest_px=unit / 3, octaves=6)
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.05, 0.16) * unit
    along = np.arange(width)[None] * np.cos(angle) + np.arange(height)[:, None] * np.sin(angle)
    across = np.arange(height)[:, None] * np.cos(angle) - np.arange(width)[None] * np.sin(angle)
    pattern = rng.choice(("plain", "stripes", "checks"))
    if pattern != "plain":
        light += 0.04 * np.tanh(4 * np.sin(2 * np.pi * along / period))
    if pattern == "checks":
        light += 0.04 * np.tanh(4 * np.sin(2 * np.pi * across / period))
    rgb = base * light[:, :, None] * vignette(image_hw, 0.25, (float(rng.uniform(0.3, 0.6)), 0.4))
    return rgb.astype(np.float32), np.zeros(image_hw, np.uint8)


def _rgb(hue: float, saturation: float, value: float) -> Plane:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32)
