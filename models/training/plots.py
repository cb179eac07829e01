"""Figures of a run (`draw_curves`), and fonts that have the characters of labels in any script (`drawable`).

Matplotlib figures are made and saved as objects: no display, no global state.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font

Row = dict[str, float]


def draw_curves(path: Path, rows: Sequence[Row]) -> None:
    """One panel for losses, one for val metrics, one for learning rates, over epochs."""
    panels = {
        "loss": [n for n in rows[0] if "loss" in n],
        "val metrics": [n for n in rows[0] if n.startswith("val_") and "loss" not in n],
        "learning rate": [n for n in rows[0] if n.startswith("lr_")],
    }
    figure = Figure(figsize=(15, 4), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for name in names:
            axes.plot([r["epoch"] for r in rows], [r.get(name, np.nan) for r in rows], marker=".", label=name)
        axes.set_xlabel("epoch")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        if names:
            axes.legend(fontsize="small")
    figure.savefig(path, dpi=100)


@contextmanager
def drawable(texts: Iterable[str]) -> Iterator[dict[str, str]]:
    """Make and save figures with these texts inside the context: it adds installed fonts that have their characters.

    Yields:
        text -> what to draw: the text itself, its characters that no installed font has by number, as `U+72D7`.
    """
    texts = list(texts)
    families = list(FontProperties().get_family())
    known = {character for path in _default_fonts() for character in _characters(path)}
    missing = {ord(character) for text in texts for character in text if not character.isspace()} - known
    for family, path in _other_fonts() if missing else ():
        if found := missing & _characters(path):
            families.append(family)
            missing -= found
        if not missing:
            break
    with mpl.rc_context({"font.family": families, "text.parse_math": False}):
        yield {text: "".join(f"U+{ord(c):04X} " if ord(c) in missing else c for c in text).strip() for text in texts}


def _default_fonts() -> list[str]:
    return [fontManager.findfont(FontProperties(), fallback_to_default=True)]


def _other_fonts() -> list[tuple[str, str]]:
    """(family, file) of upright fonts of normal weight."""
    fonts = (f for f in fontManager.ttflist if f.style == "normal" and f.weight in (400, "normal", "regular"))
    return list(dict.fromkeys((font.name, font.fname) for font in fonts))


@cache
def _characters(path: str) -> frozenset[int]:
    """Code points that a font file has; none for a file that cannot be read as outlines."""
    try:
        return frozenset(get_font(path).get_charmap())
    except (RuntimeError, OSError):
        return frozenset()
