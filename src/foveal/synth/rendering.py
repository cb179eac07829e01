"""Rendering of scenes: objects on a ground -> image and ground truth.

A drawing happens in two passes. The first finds which thing owns which pixel, and leaves out the things of which too
little would be seen, so that no truth is unlearnable. The second paints what is left, far to near.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from foveal.synth.noise import Plane, mix
from foveal.synth.outlines import Outline

MIN_VISIBLE = 0.25  # of a thing's own area; with less of it to be seen it is not drawn
MIN_VISIBLE_PX = 12
EDGE_PX = 1.2  # width of the blend across an outline


@dataclass(frozen=True)
class Patch:
    """The square window around one thing, as its shade sees it."""

    x: Plane  # (n, n) pixels from the thing's centre
    y: Plane
    distance: Plane  # (n, n) to the outline, negative inside
    below: Plane  # (n, n, 3) the image under the thing, RGB in [0, 255]


Shade = Callable[[Patch], Plane]  # -> (n, n, 3) RGB in [0, 255]


@dataclass(frozen=True)
class Shadow:
    """A soft dark copy of the outline, laid on whatever is below. Part of the image, never of the truth."""

    dx: float
    dy: float
    blur_px: float
    strength: float  # 0 none .. 1 black


@dataclass(frozen=True)
class Thing:
    """Something to draw. Its outline must lie within `reach_px` of the centre."""

    center_xy: tuple[float, float]
    reach_px: float
    outline: Outline
    shade: Shade
    map_id: int  # class in the class map
    class_id: int | None  # class as an instance; None: it is in the class map only
    shadow: Shadow | None = None

    @property
    def size(self) -> int:
        """Side of the window in pixels: room for the outline, its blend and its shadow."""
        room = self.reach_px + 2
        if self.shadow:
            room += max(abs(self.shadow.dx), abs(self.shadow.dy)) + 3 * self.shadow.blur_px
        return 2 * int(np.ceil(room)) + 1

    @property
    def origin_xy(self) -> tuple[int, int]:
        """Top left pixel of the window; may lie outside the image."""
        return math.floor(self.center_xy[0]) - self.size // 2, math.floor(self.center_xy[1]) - self.size // 2

    @cached_property
    def grid(self) -> tuple[Plane, Plane]:
        """x and y of the window's pixel centres, from the thing's centre."""
        left, top = self.origin_xy
        along = np.arange(self.size, dtype=np.float32) + 0.5
        x, y = np.meshgrid(along + (left - self.center_xy[0]), along + (top - self.center_xy[1]))
        return x.astype(np.float32), y.astype(np.float32)

    @cached_property
    def distance(self) -> Plane:
        """(n, n) distance to the outline over the window."""
        return self.outline(*self.grid).astype(np.float32)

    def cut(self, image_hw: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """(rows, columns) of the part inside the image: in the image, and in the window."""
        inside, window = [], []
        for start, limit in zip(self.origin_xy[::-1], image_hw, strict=True):
            low = min(max(start, 0), limit)
            high = max(min(start + self.size, limit), low)
            inside.append(slice(low, high))
            window.append(slice(low - start, high - start))
        return (inside[0], inside[1]), (window[0], window[1])


@dataclass(frozen=True)
class Drawing:
    """What `compose` made of the things."""

    rgb: Plane  # (H, W, 3) in [0, 255]
    class_map: npt.NDArray[np.uint8]
    instance_map: npt.NDArray[np.uint16]
    class_ids: npt.NDArray[np.int64]


def compose(ground_rgb: Plane, ground_map: npt.NDArray[np.uint8], things: Sequence[Thing]) -> Drawing:
    """Draw things, far to near, on a ground.

    Args:
        ground_rgb: (H, W, 3) float32 RGB in [0, 255].
        ground_map: (H, W) class of the ground's pixels.
        things: later ones cover earlier ones.
    """
    image_hw = (ground_map.shape[0], ground_map.shape[1])
    owner = _owners(things, image_hw)
    seen = np.bincount(owner.ravel(), minlength=len(things) + 1)[1:]
    kept = [thing for thing, pixels in zip(things, seen, strict=True) if _is_shown(thing, int(pixels))]
    owner = _owners(kept, image_hw)  # what a left-out thing covered comes into sight: others only gain

    rgb = ground_rgb.copy()
    for thing in kept:
        _paint(rgb, thing)
    instances = [k for k, thing in enumerate(kept, 1) if thing.class_id is not None]
    instance_of = np.zeros(len(kept) + 1, np.uint16)
    instance_of[instances] = np.arange(1, len(instances) + 1)
    map_of = np.array([0, *(thing.map_id for thing in kept)], np.uint8)
    return Drawing(
        rgb=rgb,
        class_map=np.where(owner > 0, map_of[owner], ground_map).astype(np.uint8),
        instance_map=instance_of[owner],
        class_ids=np.array([thing.class_id for thing in kept if thing.class_id is not None], np.int64),
    )


def _owners(things: Sequence[Thing], image_hw: tuple[int, int]) -> npt.NDArray[np.int32]:
    """(H, W): 0 the ground, k the k-th thing, counted from 1."""
    owner = np.zeros(image_hw, np.int32)
    for k, thing in enumerate(things, 1):
        inside, window = thing.cut(image_hw)
        owner[inside][thing.distance[window] < 0] = k
    return owner


def _is_shown(thing: Thing, seen_px: int) -> bool:
    if thing.class_id is None:
        return True
    return seen_px >= max(MIN_VISIBLE_PX, MIN_VISIBLE * int((thing.distance < 0).sum()))


def _paint(rgb: Plane, thing: Thing) -> None:
    inside, window = thing.cut((rgb.shape[0], rgb.shape[1]))
    if rgb[inside].size == 0:
        return
    below = np.zeros((thing.size, thing.size, 3), np.float32)
    below[window] = rgb[inside]
    if thing.shadow:
        below *= 1 - _shadow(thing, thing.shadow)[:, :, None]
    shaded = thing.shade(Patch(*thing.grid, thing.distance, below))
    cover = np.clip(0.5 - thing.distance / EDGE_PX, 0, 1).astype(np.float32)
    rgb[inside] = mix(below, shaded, cover)[window]


def _shadow(thing: Thing, shadow: Shadow) -> Plane:
    x, y = thing.grid
    dark = (thing.outline(x - np.float32(shadow.dx), y - np.float32(shadow.dy)) < 0).astype(np.float32)
    return shadow.strength * cv2.GaussianBlur(dark, (0, 0), shadow.blur_px).astype(np.float32)
