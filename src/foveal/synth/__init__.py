"""Seeded drawings with exact ground truth: `draw(style, seed=..., index=...) -> Scene`."""

from foveal.synth.plain import rectangles
from foveal.synth.scene import Scene
from foveal.synth.styles import STYLES, Style, draw, draw_one

__all__ = ["STYLES", "Scene", "Style", "draw", "draw_one", "rectangles"]
