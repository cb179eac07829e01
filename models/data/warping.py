"""Random geometry of training images (`RandomWarp`): one transform from the decoded image to the model input.

Production's resize, a random crop and scale, rotation, shear and perspective are one 3x3 matrix, and pixels are
resampled once; mirrors and quarter turns are exact anyway. Coordinates are continuous edges, as in `ImageTransform`:
pixel i spans [i, i + 1].
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from foveal.imaging.preprocess import Preprocess
from foveal.results import FloatArray

UInt8Array = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]  # (3, 3), maps (x, y, 1)

MOST_SUPERSAMPLING = 8  # a side: enough for an image eight times as large as the model input
LEFT_OVER = 0.25  # an image up to 1 + this times as large needs no supersampling: linear taps still meet every pixel


@dataclass(frozen=True)
class RandomWarp:
    """How the part of an image that is shown may be distorted. Randomness is torch's global generator."""

    rotate_deg: float = 0.0  # up to this angle either way
    shear_deg: float = 0.0  # upright lines lean up to this angle either way
    perspective: float = 0.0  # corners move inwards by up to this share of half a side

    @property
    def is_off(self) -> bool:
        """Nothing ever happens."""
        return self == RandomWarp()

    def draw(self, window_xywh: tuple[float, float, float, float], out_hw: tuple[int, int]) -> Matrix:
        """The matrix that brings a window to the size `out_hw`, varied around its centre.

        Args:
            window_xywh: left, top, width and height in any plane; it may reach out of the image.
            out_hw: height and width of the result in px.
        """
        left, top, width, height = window_xywh
        out_height, out_width = out_hw
        centred = _moved(-left - width / 2, -top - height / 2)
        scaled = np.diag([out_width / width, out_height / height, 1.0])
        return _moved(out_width / 2, out_height / 2) @ self._around_the_centre(out_hw) @ scaled @ centred

    def _around_the_centre(self, out_hw: tuple[int, int]) -> Matrix:
        matrix = np.eye(3)
        if self.shear_deg:
            lean = np.eye(3)
            lean[0, 1] = math.tan(math.radians(uniform(-self.shear_deg, self.shear_deg)))
            matrix = lean @ matrix
        if self.rotate_deg:
            matrix = _turned(uniform(-self.rotate_deg, self.rotate_deg)) @ matrix
        if self.perspective:
            matrix = self._tilted(out_hw) @ matrix
        return matrix

    def _tilted(self, out_hw: tuple[int, int]) -> Matrix:
        """The four corners moved inwards, each for itself, as torchvision's RandomPerspective does."""
        half_y, half_x = out_hw[0] / 2, out_hw[1] / 2
        corners = np.array([[-half_x, -half_y], [half_x, -half_y], [half_x, half_y], [-half_x, half_y]], np.float32)
        inwards = 1 - self.perspective * torch.rand(4, 2).numpy()
        return np.asarray(cv2.getPerspectiveTransform(corners, (corners * inwards).astype(np.float32)), np.float64)


def uniform(low: float, high: float) -> float:
    """A number of torch's global generator."""
    return float(torch.empty(()).uniform_(low, high))


def somewhere(extent: float, window: float) -> float:
    """Where a window begins: anywhere inside of the extent; a longer window shows all of the extent, anywhere."""
    return (extent - window) * float(torch.rand(()))


def production_matrix(preprocess: Preprocess, image_hw: tuple[int, int], decoded_hw: tuple[int, int]) -> Matrix:
    """Pixels of a decoded (perhaps reduced) image -> the whole image after production's resize, before its crop."""
    resized_hw = preprocess.resized_hw(image_hw)
    return np.diag([resized_hw[1] / decoded_hw[1], resized_hw[0] / decoded_hw[0], 1.0])


def warp_image(rgb: UInt8Array, matrix: Matrix, out_hw: tuple[int, int], fill_rgb: tuple[int, int, int]) -> UInt8Array:
    """An image under a matrix, antialiased: sampled linearly on a finer grid, whose cells are then averaged.

    Args:
        rgb: (H, W, 3) uint8.
        matrix: pixels of `rgb` -> pixels of the result.
        out_hw: height and width of the result in px.
        fill_rgb: what is seen outside of the image.

    Returns:
        (*out_hw, 3) uint8.
    """
    fine = _supersampling(matrix, out_hw)
    size = (out_hw[1] * fine, out_hw[0] * fine)
    centres = _pixel_centres(np.diag([fine, fine, 1.0]) @ matrix)
    warped = cv2.warpPerspective(
        rgb, centres, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill_rgb
    )
    if fine > 1:
        warped = cv2.resize(warped, out_hw[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(warped, np.uint8)


def warp_map(class_map: UInt8Array, matrix: Matrix, out_hw: tuple[int, int], fill: int) -> UInt8Array:
    """(H, W) uint8 class ids under a matrix, nearest pixel; `fill` outside."""
    warped = cv2.warpPerspective(
        class_map,
        _pixel_centres(matrix),
        out_hw[::-1],
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=fill,
    )
    return np.asarray(warped, np.uint8)


def warp_boxes(boxes_xyxy: FloatArray, matrix: Matrix) -> FloatArray:
    """(M, 4) boxes around the four corners of boxes under a matrix, float32; not clipped."""
    x1, y1, x2, y2 = boxes_xyxy.astype(np.float64).T
    corners = np.stack([[x1, x2, x2, x1], [y1, y1, y2, y2], np.ones((4, len(boxes_xyxy)))])  # (3, 4, M)
    x, y, w = np.einsum("ij,jkm->ikm", matrix, corners)
    x, y = x / w, y / w
    return np.stack((x.min(0), y.min(0), x.max(0), y.max(0)), 1).astype(np.float32)


def _supersampling(matrix: Matrix, out_hw: tuple[int, int]) -> int:
    """Samples a side in each pixel of the result, after the strongest reduction at its centre."""
    inverse = np.linalg.inv(matrix)
    x, y, w = inverse @ (out_hw[1] / 2, out_hw[0] / 2, 1.0)
    jacobian = (inverse[:2, :2] - np.outer((x / w, y / w), inverse[2, :2])) / w
    reduction = float(np.linalg.norm(jacobian, 2))
    return min(MOST_SUPERSAMPLING, max(1, math.ceil(reduction - LEFT_OVER)))


def _pixel_centres(matrix: Matrix) -> Matrix:
    """The same matrix for OpenCV, where whole numbers are the centres of pixels."""
    return _moved(-0.5, -0.5) @ matrix @ _moved(0.5, 0.5)


def _moved(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _turned(angle_deg: float) -> Matrix:
    """Counter-clockwise as seen, with y downwards."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
