"""Tiny data sets, drawn here, for tests of training."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image

from tests.helpers.packages import encoded

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


STORED = {  # how a camera stores upright pixels under each EXIF orientation: the inverse of what a viewer does
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored_turned(upright: Any, orientation: int, container: str) -> bytes:
    """An encoded image whose pixels lie as `orientation` says."""
    image, turn, exif = Image.fromarray(upright), STORED[orientation], Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exact = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(container, {})
    return encoded(image if turn is None else image.transpose(turn), container, exif=exif, **exact)
