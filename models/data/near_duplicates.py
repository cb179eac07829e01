"""Hashes of images (`difference_hash`) that stay nearly the same under re-encoding and resizing."""

import cv2
import numpy as np
import numpy.typing as npt

HASH_SIDE = 16
NEAR_BITS = 6  # of 256: re-encoded or slightly resized copies; other images differ in about 128


def difference_hash(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """256 bits: is a pixel of the shrunken grey image brighter than its left neighbour?"""
    small = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    return (small[:, 1:] > small[:, :-1]).ravel()
