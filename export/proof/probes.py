"""Probe images (`probes`): contents and sizes that tracing did not see, on which a wrong export shows."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

from foveal import synth

RgbArray = npt.NDArray[np.uint8]
ODD_SIZES_HW = ((1, 1), (1, 97), (97, 1), (33, 517), (301, 203), (720, 1281))


def probes(input_hw: tuple[int, int]) -> Mapping[str, RgbArray]:
    """name -> (H, W, 3) uint8 RGB: flat, noise and ramp of the model input's size; noise and drawings of odd sizes."""
    height, width = input_hw
    ramp = np.linspace(0, 255, width).astype(np.uint8)[None, :, None]
    found = {
        "black": np.zeros((height, width, 3), np.uint8),
        "white": np.full((height, width, 3), 255, np.uint8),
        "ramp": np.ascontiguousarray(np.broadcast_to(ramp, (height, width, 3))),
        "noise": _noise(height, width),
        "checkerboard": (np.indices((height, width)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, 2),
    }
    found |= {f"noise {h}x{w}": _noise(h, w) for h, w in ODD_SIZES_HW}
    return found | {f"drawn {style}": rgb for style, rgb in drawings().items()}


@cache
def drawings() -> Mapping[str, RgbArray]:
    """Style -> a drawn scene (203, 301, 3) uint8 RGB."""
    return {style: synth.draw(style, image_hw=(203, 301)).rgb for style in synth.STYLES}


def _noise(height: int, width: int) -> RgbArray:
    random = np.random.default_rng(height * 100_003 + width)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)
