"""Style `aerial`: a town in dry land from above. Every pixel has a class; buildings are instances too."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from foveal.synth import outlines
from foveal.synth.noise import Plane, fractal, mix, smoothstep
from foveal.synth.rendering import Drawing, Patch, Shade, Shadow, Thing, compose

LABELS = ("building",)
MAP_LABELS = ("land", "road", "building", "vegetation", "water")
_LAND, _ROAD, _BUILDING, _GREEN, _WATER = range(5)

Size = tuple[int, int]


@dataclass(frozen=True)
class _Town:
    """A street grid. (u, v) are image coordinates turned by `angle`."""

    angle: float
    block_px: float
    street_px: float  # half the width of a street
    offset: tuple[float, float]

    def to_uv(self, x: Plane, y: Plane) -> tuple[Plane, Plane]:
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        return x * cos + y * sin + np.float32(self.offset[0]), y * cos - x * sin + np.float32(self.offset[1])

    def to_xy(self, u: float, v: float) -> tuple[float, float]:
        u, v = u - self.offset[0], v - self.offset[1]
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return float(u * cos - v * sin), float(u * sin + v * cos)


def draw_many(rng: np.random.Generator, image_hw: Size) -> Drawing:
    """Desert, a lake or river, a highway, a street grid with lots, palms and lawns."""
    height, width = image_hw
    unit = min(image_hw)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    block = float(rng.uniform(0.20, 0.30)) * unit
    offset = tuple(rng.uniform(0, block, 2))
    town = _Town(float(rng.uniform(0, np.pi / 2)), block, 0.045 * block + 1, (offset[0], offset[1]))
    built = fractal(rng, image_hw, coarsest_px=0.9 * unit, octaves=2) + rng.uniform(-0.2, 0.8)  # > 0: town

    rgb = _desert(rng, image_hw)
    classes = np.full(image_hw, _LAND, np.uint8)
    _grow(rng, rgb, classes, built)
    _pave(rng, rgb, classes, _street_distance(town, x, y, built), markings=False)
    _flood(rng, rgb, classes)
    _pave(rng, rgb, classes, _highway_distance(rng, x, y, unit), markings=True)
    houses = _houses(rng, town, classes, built)
    trees = _trees(rng, classes, built, unit)
    return compose(rgb, classes, [*trees, *houses])


def _desert(rng: np.random.Generator, image_hw: Size) -> Plane:
    unit = min(image_hw)
    base = np.array((214, 198, 172), np.float32) + rng.normal(0, 7, 3).astype(np.float32)
    dunes = fractal(rng, image_hw, coarsest_px=unit / 2, octaves=7)
    stains = fractal(rng, image_hw, coarsest_px=unit / 4, octaves=5)
    rgb = base * (1 + 0.05 * dunes)[:, :, None]
    return mix(rgb, (186, 160, 130), 0.5 * smoothstep(0.4, 1.8, stains))


def _grow(rng: np.random.Generator, rgb: Plane, classes: npt.NDArray[np.uint8], built: Plane) -> None:
    """Lawns and scrub."""
    unit = min(classes.shape)
    field = fractal(rng, classes.shape, coarsest_px=unit / 4, octaves=4) + 0.35 * np.clip(built, -1, 1)
    texture = fractal(rng, classes.shape, coarsest_px=unit / 24, octaves=5)
    level = float(rng.uniform(0.8, 1.4))
    green = np.array((104, 128, 72), np.float32) * (1 + 0.14 * texture)[:, :, None]
    _lay(rgb, classes, green, level - field, _GREEN)


def _flood(rng: np.random.Generator, rgb: Plane, classes: npt.NDArray[np.uint8]) -> None:
    """A lake (high ground of a smooth field) or a river (its zero line), with a pale shore."""
    unit = min(classes.shape)
    field = fractal(rng, classes.shape, coarsest_px=1.1 * unit, octaves=4)
    if rng.uniform() < 0.4:
        outside: Plane = np.abs(field) - float(rng.uniform(0.10, 0.22))
    else:
        outside = float(rng.uniform(0.5, 1.2)) - field
    rgb[:] = mix(rgb, (226, 214, 190), 0.8 * (1 - smoothstep(0.0, 0.14, outside)))
    ripple = fractal(rng, classes.shape, coarsest_px=unit / 12, octaves=5)
    depth = smoothstep(0.0, 0.7, -outside)[:, :, None]
    shallow, deep = np.array((74, 128, 128), np.float32), np.array((30, 72, 92), np.float32)
    _lay(rgb, classes, (shallow * (1 - depth) + deep * depth) * (1 + 0.035 * ripple)[:, :, None], outside, _WATER)


def _lay(rgb: Plane, classes: npt.NDArray[np.uint8], paint: Plane, outside: Plane, map_id: int) -> None:
    """Lay a region, `outside` < 0, on the ground; its edge is blended over about one pixel, half on each side."""
    slope = np.hypot(
        cv2.Sobel(outside, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(outside, cv2.CV_32F, 0, 1, scale=1 / 8)
    )
    cover = np.clip(0.5 - outside / np.maximum(slope, 1e-6), 0, 1).astype(np.float32)
    rgb[:] = mix(rgb, paint, cover)
    classes[outside < 0] = map_id


def _street_distance(town: _Town, x: Plane, y: Plane, built: Plane) -> Plane:
    u, v = town.to_uv(x, y)
    block = np.float32(town.block_px)
    to_line = [np.abs((w + block / 2) % block - block / 2) for w in (u, v)]
    streets = np.minimum(*to_line) - np.float32(town.street_px)
    return np.maximum(streets, -built * block)  # no streets outside the town


def _highway_distance(rng: np.random.Generator, x: Plane, y: Plane, unit: int) -> Plane:
    """A gently winding road across the image."""
    angle = float(rng.uniform(0, np.pi))
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    bend, phase = float(rng.uniform(0.04, 0.16)) * unit, float(rng.uniform(0, 2 * np.pi))
    middle = float(np.median(across)) + float(rng.normal(0, 0.15)) * unit
    slope = bend * np.cos(along / (0.55 * unit) + phase) / (0.55 * unit)
    wave = across - middle - bend * np.sin(along / (0.55 * unit) + phase)
    return (np.abs(wave) / np.sqrt(1 + slope**2) - 0.024 * unit).astype(np.float32)


def _pave(
    rng: np.random.Generator, rgb: Plane, classes: npt.NDArray[np.uint8], distance: Plane, *, markings: bool
) -> None:
    unit = min(classes.shape)
    tone = np.array((128, 124, 122), np.float32) * float(rng.uniform(0.8, 1.1))
    asphalt = tone * (1 + 0.05 * fractal(rng, classes.shape, coarsest_px=unit / 10, octaves=5))[:, :, None]
    rgb[:] = mix(rgb, (206, 196, 180), 0.6 * (1 - smoothstep(0, 0.012 * unit, distance)))  # verge
    _lay(rgb, classes, asphalt, distance, _ROAD)
    if markings:
        width = 0.024 * unit
        rgb[:] = mix(rgb, (222, 220, 210), 0.7 * np.exp(-(((distance + width) / max(0.0022 * unit, 0.6)) ** 2)))


def _houses(rng: np.random.Generator, town: _Town, classes: npt.NDArray[np.uint8], built: Plane) -> list[Thing]:
    """Two to four lots along each side of a block; a house stands where its whole lot is dry, unpaved town."""
    height, width = classes.shape
    free = ((classes == _LAND) | (classes == _GREEN)) & (built > 0)
    reach = int(np.ceil(np.hypot(height, width) / town.block_px)) + 1
    things = []
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            lots = int(rng.integers(2, 5))
            lot = (town.block_px - 2 * town.street_px) / lots
            for a in range(lots):
                for b in range(lots):
                    u = i * town.block_px + town.street_px + (a + 0.5) * lot
                    v = j * town.block_px + town.street_px + (b + 0.5) * lot
                    half = lot * rng.uniform(0.24, 0.42, 2)
                    x, y = town.to_xy(u, v)
                    if rng.uniform() < 0.82 and _is_free(free, x, y, float(np.hypot(*half))):
                        things.append(_house(rng, x, y, half, town.angle))
    return things


def _is_free(free: npt.NDArray[np.bool_], x: float, y: float, reach: float) -> bool:
    height, width = free.shape
    if not (0 <= x < width and 0 <= y < height):
        return False
    rows = slice(max(int(y - reach), 0), int(y + reach) + 1)
    columns = slice(max(int(x - reach), 0), int(x + reach) + 1)
    return bool(free[rows, columns].mean() > 0.97)


def _house(rng: np.random.Generator, x: float, y: float, half: npt.NDArray[np.float64], angle: float) -> Thing:
    """A box, or an L of two boxes, with a flat or hipped roof; the sun stands in the north-west."""
    outline = outlines.box(half[0], half[1])
    if rng.uniform() < 0.35:
        wing = outlines.moved(outlines.box(half[0] * 0.5, half[1] * 0.55), half[0] * 0.5, half[1] * 0.45)
        outline = outlines.union([outlines.moved(outlines.box(half[0], half[1] * 0.55), 0, -half[1] * 0.45), wing])
    tall = 0.16 * float(half.min()) + 1.0
    return Thing(
        (x, y), float(np.hypot(*half)), outlines.turned(outline, angle), _roof(rng, half, angle),
        _BUILDING, 0, Shadow(tall, 1.2 * tall, max(0.25 * tall, 0.5), 0.55),
    )  # fmt: skip


def _roof(rng: np.random.Generator, half: npt.NDArray[np.float64], angle: float) -> Shade:
    tones = ((236, 232, 224), (206, 200, 194), (184, 120, 94), (222, 206, 180), (150, 152, 158))
    base = np.array(tones[int(rng.integers(len(tones)))], np.float32) * float(rng.uniform(0.85, 1.05))
    hipped = rng.uniform() < 0.5
    cos, sin = np.cos(angle), np.sin(angle)

    def shade(patch: Patch) -> Plane:
        light = 1 + 0.02 * fractal(rng, patch.x.shape, coarsest_px=max(float(half.min()) / 2, 2))
        if hipped:  # each side of the roof faces another way: to the sun or from it
            u, v = (patch.x * cos + patch.y * sin) / half[0], (patch.y * cos - patch.x * sin) / half[1]
            to_side = np.abs(u) > np.abs(v)
            normal_x = np.where(to_side, np.sign(u) * cos, -np.sign(v) * sin)
            normal_y = np.where(to_side, np.sign(u) * sin, np.sign(v) * cos)
            light = light - 0.12 * (normal_x + normal_y)
        else:  # parapet
            light = light + 0.10 * np.exp(-(((patch.distance + 1.2) / 0.9) ** 2))
        return base * light.astype(np.float32)[:, :, None]

    return shade


def _trees(rng: np.random.Generator, classes: npt.NDArray[np.uint8], built: Plane, unit: int) -> list[Thing]:
    things = []
    height, width = classes.shape
    for x, y in rng.uniform((0, 0), (width, height), (int(140 * width * height / unit**2), 2)):
        at = int(y), int(x)
        wanted = 0.9 if classes[at] == _GREEN else 0.35 if built[at] > 0 else 0.05
        if classes[at] in (_LAND, _GREEN) and rng.uniform() < wanted:
            things.append(_tree(rng, (float(x), float(y)), float(rng.uniform(0.008, 0.016)) * unit))
    return things


def _tree(rng: np.random.Generator, center_xy: tuple[float, float], radius: float) -> Thing:
    base = np.array((70, 98, 52), np.float32) * float(rng.uniform(0.8, 1.2))

    def shade(patch: Patch) -> Plane:
        light = 1 - 0.22 * (patch.x + patch.y) / radius
        light += 0.12 * fractal(rng, patch.x.shape, coarsest_px=max(radius / 2, 1.5), octaves=2)
        return base * np.clip(light, 0.5, 1.6)[:, :, None]

    lean = Shadow(0.5 * radius, 0.6 * radius, max(0.3 * radius, 0.5), 0.4)
    return Thing(center_xy, 1.7 * radius, outlines.blob(radius, rng, wobble=0.12), shade, _GREEN, None, lean)
