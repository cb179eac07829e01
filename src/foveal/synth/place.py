"""Placement of objects in a drawn scene."""

from collections.abc import Iterable, Sequence

import numpy as np


def scatter(
    rng: np.random.Generator,
    image_hw: tuple[int, int],
    radii_px: Iterable[float],
    *,
    spacing: float,
    tries: int = 30,
    taken: Sequence[tuple[float, float, float]] = (),
) -> list[tuple[float, float, float]]:
    """Random places for round things: [(x, y, radius)]; those that find no room are left out.

    Args:
        rng: source of randomness.
        image_hw: size of the image; centres lie inside it.
        radii_px: one for each thing, in the order in which they look for a place.
        spacing: least distance of two centres, as a multiple of the sum of their radii: 1 touch, 0.8 overlap a little.
        tries: places tried for each thing.
        taken: things that stand already.
    """
    placed = list(taken)
    for radius in radii_px:
        for x, y in rng.uniform((0, 0), (image_hw[1], image_hw[0]), (tries, 2)):
            if all((x - u) ** 2 + (y - v) ** 2 >= (spacing * (radius + r)) ** 2 for u, v, r in placed):
                placed.append((float(x), float(y), radius))
                break
    return placed[len(taken) :]
