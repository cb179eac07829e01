"""Tiny data sets, drawn here, for tests of training."""

from pathlib import Path

import cv2
import numpy as np

COLOURS = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}  # BGR


def draw_folders(root: Path, *, per_class: int, suffix: str = ".png") -> Path:
    """root/<colour>/img_<number>: a disc of the class' colour on noise; sizes differ, numbers run ACROSS classes."""
    rng = np.random.default_rng(0)
    for place, (name, colour) in enumerate(COLOURS.items()):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            image = rng.integers(0, 255, (40 + i % 7, 50 + i % 5, 3), dtype=np.uint8)
            cv2.circle(image, (25, 20), 14, colour, -1)
            cv2.imwrite(str(root / name / f"img_{i * len(COLOURS) + place:04d}{suffix}"), image)
    return root
