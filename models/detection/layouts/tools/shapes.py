"""Shapes as outlines (`turned_box`, `ellipse`): alternating x and y."""

import numpy as np
import numpy.typing as npt

CORNERS = 64  # of an ellipse: its area is right within 0.2 %


def turned_box(
    x1: float, y1: float, x2: float, y2: float, degrees: float, *, about: tuple[float, float] | None = None
) -> list[float]:
    """The corners of a box turned clockwise about its centre, or another point."""
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    return _turned(corners, about or ((x1 + x2) / 2, (y1 + y2) / 2), degrees)


def ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float = 0.0) -> list[float]:
    """Points on an ellipse turned clockwise about its centre."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    points = np.column_stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)])
    return _turned(points, (cx, cy), degrees)


def _turned(points: npt.NDArray[np.float64], about: tuple[float, float], degrees: float) -> list[float]:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    # y points down, so this matrix turns clockwise
    turned = (points - about) @ np.array([[cosine, sine], [-sine, cosine]]) + about
    values: list[float] = turned.ravel().tolist()
    return values
