"""HTML pages (`page`) that stand alone: tables, paragraphs and images in one file, without scripts or links."""

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from foveal.imaging.drawing import encode

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #1c1c1c; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; margin: .6rem 0 } td, th { padding: .2rem .7rem; border-bottom: 1px solid #ddd }
th { text-align: left } td { font-variant-numeric: tabular-nums } p.note { color: #555; max-width: 60rem }
.images { display: flex; flex-wrap: wrap; gap: .8rem } figure { margin: 0 0 .6rem } img { max-width: 100% }
figcaption { font-size: .82rem; color: #333; max-width: 24rem; overflow-wrap: anywhere }
.worse { color: #a11 } .better { color: #161 }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } td, th { border-color: #444 }
  p.note, figcaption { color: #aaa } .worse { color: #f88 } .better { color: #8d8 } }
"""


def page(title: str, sections: Sequence[str]) -> str:
    """A whole document; `sections` are what the functions below give."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{chr(10).join(sections)}\n</body></html>\n"
    )


def heading(text: str) -> str:
    """Of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, *, kind: str = "note") -> str:
    """Plain text; `kind`: note, better or worse."""
    return f'<p class="{escape(kind)}">{escape(text)}</p>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are plain text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def images(figures: Sequence[tuple[npt.NDArray[np.uint8], str]]) -> str:
    """(H, W, 3) RGB pixels with captions, side by side."""
    return f'<div class="images">{"".join(_figure(rgb, caption) for rgb, caption in figures)}</div>'


def _figure(rgb: npt.NDArray[np.uint8], caption: str) -> str:
    content = base64.b64encode(encode(rgb, "image/jpeg")).decode()
    words = escape(caption)
    return (
        f'<figure><img alt="{words}" src="data:image/jpeg;base64,{content}"><figcaption>{words}</figcaption></figure>'
    )
