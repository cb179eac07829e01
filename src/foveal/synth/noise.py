"""Textures and photographic effects for finished drawings."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.floating[Any]]  # float32 or float64


def fractal(rng: np.random.Generator, image_hw: tuple[int, int], *, coarsest_px: float, octaves: int = 4) -> Plane:
    """(H, W) float32 cloud noise, mean about 0, standard deviation about 1; structures up to `coarsest_px` wide.

    Sum of random grids, each half as coarse and half as strong as the one before, interpolated smoothly.
    """
    height, width = image_hw
    total = np.zeros(image_hw, np.float32)
    power = 0.0
    for octave in range(octaves):
        cell, strength = max(coarsest_px / 2**octave, 1.0), 0.5**octave
        rows, columns = int(height / cell) + 4, int(width / cell) + 4
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        shift = rng.uniform(0, 1, 2)
        to_grid = np.array([[1 / cell, 0, 1 + shift[0]], [0, 1 / cell, 1 + shift[1]]], np.float32)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        total += strength * cv2.warpAffine(grid, to_grid, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
        power += strength**2 * 0.6  # interpolation keeps about 0.6 of a grid's variance
    return (total / np.sqrt(power)).astype(np.float32)


def smoothstep(low: float, high: float, value: Plane) -> Plane:
    """0 below `low`, 1 above `high`, a smooth ramp between."""
    t = np.clip((value - low) / (high - low), 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)


def mix(below: Plane, above: Plane | tuple[float, float, float], alpha: Plane) -> Plane:
    """(h, w, 3) `above` laid over `below` with (h, w) alpha in [0, 1]."""
    weight = alpha[:, :, None]
    return below * (1 - weight) + np.asarray(above, np.float32) * weight


def vignette(image_hw: tuple[int, int], strength: float, center_xy: tuple[float, float] = (0.5, 0.5)) -> Plane:
    """(H, W, 1) factor: 1 in the middle, falling to about 1 - strength in the corners."""
    height, width = image_hw
    x = (np.arange(width, dtype=np.float32) + 0.5) / width - center_xy[0]
    y = (np.arange(height, dtype=np.float32) + 0.5) / height - center_xy[1]
    return (1 - strength * 2 * (x[None] ** 2 + y[:, None] ** 2))[:, :, None].astype(np.float32)


def photograph(
    rgb: Plane, rng: np.random.Generator, *, blur_px: float = 0.0, grain: float = 2.0
) -> npt.NDArray[np.uint8]:
    """(H, W, 3) float in [0, 255] -> uint8, as a camera would deliver it.

    Args:
        rgb: the finished drawing.
        rng: for the grain.
        blur_px: standard deviation of the lens' blur.
        grain: standard deviation of the sensor's noise, in grey levels; part of it is equal in all three channels.
    """
    if blur_px > 0:
        rgb = cv2.GaussianBlur(rgb, (0, 0), blur_px).astype(np.float32)
    noise = rng.standard_normal(rgb.shape, dtype=np.float32) * 0.6
    noise += rng.standard_normal((*rgb.shape[:2], 1), dtype=np.float32) * 0.8
    return np.clip(rgb + grain * noise + 0.5, 0, 255).astype(np.uint8)
