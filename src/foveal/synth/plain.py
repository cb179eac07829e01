"""Plain scenes: flat rectangles on a flat ground, for tests that must know every pixel beforehand."""

import numpy as np

from foveal.synth.scene import Scene

GROUND_RGB = (40, 40, 40)


def rectangles(image_hw: tuple[int, int], n: int, seed: int = 0) -> Scene:
    """Up to n rectangles that do not touch, each of one flat colour, on flat dark grey. No noise, no blending.

    Every rectangle has its own colour, so image and truth can each be rebuilt from the other. Sides are at least one
    pixel and at most a quarter of the image's; a rectangle that finds no room after 200 tries is left out.
    """
    rng = np.random.default_rng(seed)
    height, width = image_hw
    rgb = np.full((height, width, 3), GROUND_RGB, np.uint8)
    owner = np.zeros(image_hw, np.uint16)
    placed = 0
    for _ in range(200 * n):
        if placed == n:
            break
        h, w = int(rng.integers(1, max(height // 4, 1) + 1)), int(rng.integers(1, max(width // 4, 1) + 1))
        top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
        if owner[max(top - 1, 0) : top + h + 1, max(left - 1, 0) : left + w + 1].any():
            continue
        placed += 1
        owner[top : top + h, left : left + w] = placed
        rgb[top : top + h, left : left + w] = _colour(placed)
    return Scene(
        rgb=rgb,
        class_map=(owner > 0).astype(np.uint8),
        instance_map=owner,
        class_ids=np.zeros(placed, np.int64),
        labels=("rectangle",),
        map_labels=("background", "rectangle"),
    )


def _colour(k: int) -> tuple[int, int, int]:
    """Distinct for the first 4096 instances, never the ground."""
    return 255 - 12 * (k % 16), 255 - 12 * (k // 16 % 16), 255 - 12 * (k // 256 % 16)
