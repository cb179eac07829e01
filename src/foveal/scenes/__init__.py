"""Seeded drawings with exact ground truth: `draw(style, seed=..., index=...) -> Scene`."""

from foveal.scenes.plain import rectangles
from foveal.scenes.scene import Scene
from foveal.scenes.styles import STYLES, Style, draw, draw_one

__all__ = ["STYLES", "Scene", "Style", "draw", "draw_one", "rectangles"]
