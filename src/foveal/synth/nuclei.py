"""Style `nuclei`: cell nuclei in three kinds of microscopy, one kind an image, as screening data sets mix them."""

from collections.abc import Callable

import numpy as np

from foveal.synth import outlines
from foveal.synth.noise import Plane, fractal, mix, smoothstep, vignette
from foveal.synth.place import scatter
from foveal.synth.rendering import Drawing, Patch, Shade, Thing, compose

LABELS = ("nucleus",)
MAP_LABELS = ("background", *LABELS)

Size = tuple[int, int]


def draw_many(rng: np.random.Generator, image_hw: Size) -> Drawing:
    """A dozen to several dozen nuclei: glowing on black, stained tissue, or dark on bright."""
    kind = (_fluorescence, _tissue, _brightfield)[rng.choice(3, p=(0.6, 0.25, 0.15))]
    return kind(rng, image_hw)


def _field(
    rng: np.random.Generator,
    image_hw: Size,
    *,
    size: float,
    density: float,
    spacing: float,
    stretch: tuple[float, float],
    shade_of: Callable[[np.random.Generator, float], Shade],
) -> list[Thing]:
    """Nuclei of about one size. `size`: radius as a fraction of the shorter side; `density`: nuclei tried per area."""
    unit = min(image_hw)
    number = int(density * image_hw[0] * image_hw[1] / (unit * size) ** 2)
    radii = np.clip(rng.lognormal(0, 0.20, max(number, 1)), 0.55, 1.7) * size * unit
    things = []
    for x, y, radius in scatter(rng, image_hw, sorted(radii, reverse=True), spacing=spacing):
        blob = outlines.stretched(outlines.blob(radius, rng, wobble=0.06), rng.uniform(*stretch))
        outline = outlines.turned(blob, rng.uniform(0, np.pi))
        things.append(Thing((x, y), 1.9 * radius, outline, shade_of(rng, radius), 1, 0))
    return things


def _fluorescence(rng: np.random.Generator, image_hw: Size) -> Drawing:
    """DNA dye: nuclei shine, brightness differs from nucleus to nucleus, out-of-focus light fogs the dark."""
    size, level = float(rng.uniform(0.035, 0.07)), float(rng.uniform(90, 190))
    tint = np.array(((1, 1, 1), (0.35, 0.55, 1.0))[int(rng.uniform() < 0.35)], np.float32)

    def shade_of(rng: np.random.Generator, radius: float) -> Shade:
        bright = level * float(np.clip(rng.lognormal(0, 0.35), 0.4, 1.3))
        spots = rng.normal(0, 0.4, (int(rng.integers(2, 6)), 2)) * radius

        def shade(patch: Patch) -> Plane:
            depth = smoothstep(0, 0.75 * radius, -patch.distance)
            light = 0.62 + 0.34 * depth + 0.07 * fractal(rng, patch.x.shape, coarsest_px=max(radius / 2, 2))
            for dx, dy in spots:  # chromocentres
                light += 0.20 * np.exp(-((patch.x - dx) ** 2 + (patch.y - dy) ** 2) / (0.13 * radius) ** 2)
            return np.maximum(bright * light, 0)[:, :, None] * tint

        return shade

    things = _field(
        rng, image_hw, size=size, density=rng.uniform(0.03, 0.15), spacing=0.88, stretch=(1, 1.6), shade_of=shade_of
    )
    fog = 0.05 * level * (1 + 0.35 * fractal(rng, image_hw, coarsest_px=min(image_hw) / 2))
    return compose(np.maximum(fog, 1)[:, :, None] * tint, np.zeros(image_hw, np.uint8), things)


def _tissue(rng: np.random.Generator, image_hw: Size) -> Drawing:
    """Haematoxylin and eosin: violet nuclei with a clear membrane in pink tissue with fibres and pale gaps."""
    size = float(rng.uniform(0.04, 0.075))
    violet = np.array((100, 62, 142), np.float32) + rng.normal(0, 9, 3).astype(np.float32)

    def shade_of(rng: np.random.Generator, radius: float) -> Shade:
        own = violet * float(rng.uniform(0.85, 1.3))
        grain = float(rng.uniform(0.08, 0.16))

        def shade(patch: Patch) -> Plane:
            chromatin = fractal(rng, patch.x.shape, coarsest_px=max(radius / 2.5, 2))
            membrane = np.exp(-(((patch.distance + 0.06 * radius) / (0.10 * radius)) ** 2))
            return own * np.clip(1.12 + grain * chromatin - 0.30 * membrane, 0.4, 1.6)[:, :, None]

        return shade

    things = _field(
        rng, image_hw, size=size, density=rng.uniform(0.07, 0.13), spacing=0.98, stretch=(1, 1.9), shade_of=shade_of
    )
    unit = min(image_hw)
    ground = np.full((*image_hw, 3), (224, 168, 198), np.float32)
    cloud = fractal(rng, image_hw, coarsest_px=unit / 5, octaves=5)
    fibres = np.abs(fractal(rng, image_hw, coarsest_px=unit / 7, octaves=4))
    ground = mix(ground, (196, 128, 176), 0.55 * smoothstep(-0.6, 1.6, cloud))
    ground = mix(ground, (206, 140, 182), 0.5 * (1 - smoothstep(0.0, 0.22, fibres)))
    ground = mix(ground, (243, 234, 240), smoothstep(1.0, 1.5, -cloud))
    return compose(ground, np.zeros(image_hw, np.uint8), things)


def _brightfield(rng: np.random.Generator, image_hw: Size) -> Drawing:
    """Dark grey-violet nuclei inside pale cells on a bright slide."""
    size = float(rng.uniform(0.045, 0.08))

    def shade_of(rng: np.random.Generator, radius: float) -> Shade:
        tone = np.array((104, 92, 128), np.float32) * float(rng.uniform(0.85, 1.25))

        def shade(patch: Patch) -> Plane:
            light = 1.1 - 0.25 * smoothstep(0, 0.6 * radius, -patch.distance)
            light += 0.07 * fractal(rng, patch.x.shape, coarsest_px=max(radius / 3, 2))
            return tone * light[:, :, None]

        return shade

    things = _field(
        rng, image_hw, size=size, density=rng.uniform(0.04, 0.08), spacing=1.15, stretch=(1, 1.4), shade_of=shade_of
    )
    ground = np.full((*image_hw, 3), (233, 230, 236), np.float32)
    ground *= (1 + 0.012 * fractal(rng, image_hw, coarsest_px=min(image_hw) / 3))[:, :, None]
    bodies = [_cell_body(rng, thing) for thing in things]
    return compose(ground * vignette(image_hw, 0.15), np.zeros(image_hw, np.uint8), [*bodies, *things])


def _cell_body(rng: np.random.Generator, nucleus: Thing) -> Thing:
    """The pale cell around a nucleus: background in the truth."""
    radius = nucleus.reach_px / 1.9
    x, y = np.array(nucleus.center_xy) + rng.normal(0, 0.25, 2) * radius
    outline = outlines.blob(float(rng.uniform(1.7, 2.2)) * radius, rng, wobble=0.12)

    def shade(patch: Patch) -> Plane:
        film = 0.42 + 0.05 * fractal(rng, patch.x.shape, coarsest_px=radius)
        film += 0.16 * np.exp(-((patch.distance / (0.12 * radius)) ** 2))
        return mix(patch.below, (188, 180, 206), np.clip(film, 0, 1))

    return Thing((float(x), float(y)), 3.6 * radius, outline, shade, 0, None)
