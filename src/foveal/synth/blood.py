"""Style `blood`: a stained blood smear under the microscope. Red cells, white cells, platelets."""

from itertools import pairwise

import numpy as np

from foveal.synth import outlines
from foveal.synth.noise import Plane, fractal, mix, smoothstep, vignette
from foveal.synth.place import scatter
from foveal.synth.rendering import Drawing, Patch, Shade, Thing, compose

LABELS = ("Platelets", "RBC", "WBC")
MAP_LABELS = ("background", *LABELS)
_PLATELET, _RED, _WHITE = range(3)

Place = tuple[float, float, float]  # x, y, radius


def draw_many(rng: np.random.Generator, image_hw: tuple[int, int]) -> Drawing:
    """A field of red cells, one or two white ones, a few platelets."""
    unit = min(image_hw)
    room = image_hw[0] * image_hw[1] / unit**2
    red_px = 0.092 * unit
    white = scatter(rng, image_hw, rng.uniform(1.7, 2.1, rng.choice((1, 1, 1, 2))) * red_px, spacing=1.0)
    red = scatter(
        rng, image_hw, rng.normal(1, 0.07, int(rng.uniform(9, 26) * room)) * red_px, spacing=0.86, taken=white
    )
    platelets = scatter(
        rng, image_hw, rng.uniform(0.26, 0.40, rng.integers(0, 5)) * red_px, spacing=0.95, taken=[*white, *red]
    )
    things = [_red(rng, place) for place in red]
    things += [_platelet(rng, place) for place in platelets]
    things += [_white(rng, place) for place in white]
    return compose(_plasma(rng, image_hw), np.zeros(image_hw, np.uint8), things)


def draw_one(rng: np.random.Generator, image_hw: tuple[int, int], class_id: int) -> Drawing:
    """One cell of the given class near the middle, at a magnification that fills a good part of the image."""
    unit = min(image_hw)
    make = (_platelet, _red, _white)[class_id]
    radius = float(rng.uniform(*((0.10, 0.20), (0.24, 0.36), (0.30, 0.42))[class_id])) * unit
    x, y = np.array(image_hw[::-1]) / 2 + rng.uniform(-0.08, 0.08, 2) * unit
    return compose(_plasma(rng, image_hw), np.zeros(image_hw, np.uint8), [make(rng, (x, y, radius))])


def _thing(place: Place, outline: outlines.Outline, shade: Shade, class_id: int) -> Thing:
    x, y, radius = place
    return Thing((x, y), 1.7 * radius, outline, shade, class_id + 1, class_id)


def _plasma(rng: np.random.Generator, image_hw: tuple[int, int]) -> Plane:
    unit = min(image_hw)
    base = np.array((222, 226, 216), np.float32) + rng.normal(0, 4, 3).astype(np.float32)
    light = 1 + 0.012 * fractal(rng, image_hw, coarsest_px=unit / 2, octaves=6)
    center = (float(rng.uniform(0.35, 0.65)), float(rng.uniform(0.35, 0.65)))
    return base * light[:, :, None] * vignette(image_hw, 0.16, center)


def _red(rng: np.random.Generator, place: Place) -> Thing:
    """A biconcave disc: pale in the middle, dark towards the rim, translucent where cells overlap."""
    radius = place[2]
    stretch, angle = rng.uniform(1, 1.28), rng.uniform(0, np.pi)
    outline = outlines.turned(outlines.stretched(outlines.blob(radius, rng, wobble=0.035), stretch), angle)
    base = np.array((203, 161, 156), np.float32) + rng.normal(0, 4, 3).astype(np.float32)
    pallor, spot = float(rng.uniform(0.15, 1.0)), rng.normal(0, 0.09, 2) * radius
    pit = outlines.turned(outlines.stretched(outlines.blob(0.42 * radius, rng, wobble=0.08), stretch), angle)

    def shade(patch: Patch) -> Plane:
        depth = -patch.distance / radius  # 0 at the rim, about 1 in the middle
        light = 1 - 0.13 * np.exp(-((depth / 0.07) ** 2)) + 0.05 * np.exp(-(((depth - 0.16) / 0.10) ** 2))
        light += 0.018 * fractal(rng, patch.x.shape, coarsest_px=radius / 2)
        body = base * light[:, :, None]
        middle = pit(patch.x - np.float32(spot[0]), patch.y - np.float32(spot[1]))
        body = mix(body, (228, 214, 206), pallor * (1 - smoothstep(-0.30 * radius, 0.16 * radius, middle)))
        return 0.80 * body + 0.20 * body * patch.below / 222  # a cell below shows through

    return _thing(place, outline, shade, _RED)


def _white(rng: np.random.Generator, place: Place) -> Thing:
    """A large pale cell full of fine granules around a dark nucleus of one to four lobes."""
    radius = place[2]
    outline = outlines.blob(radius, rng, wobble=0.05)
    nucleus = _nucleus(rng, radius)
    plasma_rgb = np.array((204, 190, 214), np.float32) + rng.normal(0, 5, 3).astype(np.float32)
    stain_rgb = np.array((112, 92, 184), np.float32) + rng.normal(0, 8, 3).astype(np.float32)

    def shade(patch: Patch) -> Plane:
        granules = fractal(rng, patch.x.shape, coarsest_px=max(radius / 9, 1.5), octaves=3)
        rim = np.exp(-((patch.distance / (0.05 * radius)) ** 2))
        body = plasma_rgb * (1 - 0.10 * rim + 0.035 * granules)[:, :, None]
        body = mix(body, patch.below, 0.22 * np.ones_like(rim))
        inside = nucleus(patch.x, patch.y)
        chromatin = fractal(rng, patch.x.shape, coarsest_px=max(radius / 4, 2), octaves=4)
        dark = 1 + 0.09 * chromatin - 0.16 * np.exp(-((inside / (0.05 * radius)) ** 2))
        stain = stain_rgb * dark[:, :, None]
        return mix(body, stain, 0.94 * (1 - smoothstep(-0.02 * radius, 0.03 * radius, inside)))

    return _thing(place, outline, shade, _WHITE)


def _nucleus(rng: np.random.Generator, radius: float) -> outlines.Outline:
    lobes = int(rng.integers(1, 5))
    if lobes == 1:
        return outlines.moved(outlines.blob(0.66 * radius, rng, wobble=0.12), *(rng.normal(0, 0.07, 2) * radius))
    start, arc = rng.uniform(0, 2 * np.pi), rng.uniform(1.0, 1.5)
    parts: list[outlines.Outline] = []
    spots = [(0.46 * radius * np.cos(start + arc * k), 0.46 * radius * np.sin(start + arc * k)) for k in range(lobes)]
    for x, y in spots:
        parts.append(outlines.moved(outlines.blob(rng.uniform(0.27, 0.36) * radius, rng, wobble=0.12), x, y))
    for (ax, ay), (bx, by) in pairwise(spots):
        parts.append(outlines.capsule(ax, ay, bx, by, 0.11 * radius))
    return outlines.union(parts)


def _platelet(rng: np.random.Generator, place: Place) -> Thing:
    """A small ragged fragment with a granular violet middle."""
    radius = place[2]
    outline = outlines.blob(radius, rng, wobble=0.16, waves=7)
    base = np.array((158, 136, 186), np.float32) + rng.normal(0, 6, 3).astype(np.float32)

    def shade(patch: Patch) -> Plane:
        granules = fractal(rng, patch.x.shape, coarsest_px=max(radius / 3, 1.5), octaves=3)
        core = 1 - smoothstep(-0.7 * radius, 0.0, patch.distance)
        body = base * (1 + 0.09 * granules - 0.14 * core)[:, :, None]
        return mix(patch.below, body, 0.90 - 0.25 * (1 - core))

    return _thing(place, outline, shade, _PLATELET)
