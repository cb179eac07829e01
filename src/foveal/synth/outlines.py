"""Outlines as functions: points -> distance to the outline in pixels, negative inside.

Coordinates are local to the thing's centre, x to the right, y down. Discs, boxes, polygons, capsules and what is made
of them by min and max are distances in the plain sense near the outline; blobs are approximations of it. The SIGN is
what decides truth, and that is exact for all of them. Polygon distance after Inigo Quilez,
https://iquilezles.org/articles/distfunctions2d/ (idea; written anew).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.floating[Any]]  # float32 or float64
Outline = Callable[[Plane, Plane], Plane]  # (x, y) -> signed distance


def disc(radius: float) -> Outline:
    """A circle, filled."""
    return lambda x, y: np.hypot(x, y) - np.float32(radius)


def ring(radius: float, width: float) -> Outline:
    """A circle with a hole: everything between `radius - width` and `radius`."""
    middle, half = np.float32(radius - width / 2), np.float32(width / 2)
    return lambda x, y: np.abs(np.hypot(x, y) - middle) - half


def box(half_width: float, half_height: float) -> Outline:
    """An axis-aligned rectangle."""

    def distance(x: Plane, y: Plane) -> Plane:
        dx, dy = np.abs(x) - np.float32(half_width), np.abs(y) - np.float32(half_height)
        outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
        return outside + np.minimum(np.maximum(dx, dy), 0)

    return distance


def capsule(ax: float, ay: float, bx: float, by: float, radius: float) -> Outline:
    """A thick line with round ends from a to b."""
    length2 = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-6)

    def distance(x: Plane, y: Plane) -> Plane:
        t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2, 0, 1)
        return np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)).astype(np.float32) - np.float32(radius)

    return distance


def polygon(corners_xy: Sequence[tuple[float, float]]) -> Outline:
    """A simple polygon, convex or not, corners in order."""
    corners = np.asarray(corners_xy, np.float32)

    def distance(x: Plane, y: Plane) -> Plane:
        nearest2 = np.full(x.shape, np.inf, np.float32)
        inside = np.zeros(x.shape, np.bool_)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            ex, ey = bx - ax, by - ay
            px, py = x - ax, y - ay
            t = np.clip((px * ex + py * ey) / max(ex * ex + ey * ey, np.float32(1e-12)), 0, 1)
            nearest2 = np.minimum(nearest2, (px - t * ex) ** 2 + (py - t * ey) ** 2)
            if ey != 0:  # a ray to the right crosses this edge: even-odd rule
                crosses = (ay > y) != (by > y)
                inside ^= crosses & (px < py * (ex / ey))
        return np.where(inside, -1, 1).astype(np.float32) * np.sqrt(nearest2)

    return distance


def star(points: int, radius: float, inner: float) -> Outline:
    """A star with its first point up; `inner` is the radius of the notches as a fraction of `radius`."""
    angles = np.pi * np.arange(2 * points) / points
    radii = np.where(np.arange(2 * points) % 2 == 0, radius, radius * inner)
    return polygon([(r * np.sin(a), -r * np.cos(a)) for r, a in zip(radii, angles, strict=True)])


def regular(sides: int, radius: float) -> Outline:
    """A regular polygon with one corner up."""
    angles = 2 * np.pi * np.arange(sides) / sides
    return polygon([(radius * np.sin(a), -radius * np.cos(a)) for a in angles])


def heart(radius: float) -> Outline:
    """A heart that fits into a circle of `radius` (a classic parametric curve, 48 corners)."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) - 2.5
    scale = radius / np.hypot(x, y).max()
    return polygon([(a * scale, b * scale) for a, b in zip(x, y, strict=True)])


def blob(radius: float, rng: np.random.Generator, *, wobble: float, waves: int = 5) -> Outline:
    """A round thing that is not quite round: `wobble` is the size of the dents as a fraction of `radius`."""
    orders = np.arange(2, 2 + waves)
    sizes = (rng.normal(0, wobble, waves) / (orders - 1)).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, waves).astype(np.float32)

    def distance(x: Plane, y: Plane) -> Plane:
        angle = np.arctan2(y, x)
        edge = np.ones_like(x)
        for order, size, phase in zip(orders, sizes, phases, strict=True):
            edge += size * np.cos(np.float32(order) * angle + phase)
        return np.hypot(x, y) - np.float32(radius) * np.clip(edge, 0.4, 1.6)

    return distance


def turned(outline: Outline, angle: float) -> Outline:
    """The outline turned clockwise by `angle` radians."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return lambda x, y: outline(x * cos + y * sin, y * cos - x * sin)


def moved(outline: Outline, dx: float, dy: float) -> Outline:
    """The outline moved by (dx, dy) pixels."""
    return lambda x, y: outline(x - np.float32(dx), y - np.float32(dy))


def stretched(outline: Outline, factor: float) -> Outline:
    """The outline made `factor` times as long in x and as much flatter in y; the area stays."""
    root = np.float32(np.sqrt(factor))
    return lambda x, y: outline(x / root, y * root) / max(root, 1 / root)


def union(outlines: Sequence[Outline]) -> Outline:
    """Everything that is inside any of them."""
    return lambda x, y: np.minimum.reduce([outline(x, y) for outline in outlines])
