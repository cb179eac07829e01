"""Charts of HTML pages: curves as SVG (`curves`), counts as a shaded table (`confusion`)."""

from collections.abc import Mapping, Sequence
from html import escape

from foveal.imaging.drawing import colour_of

WIDTH_PX, HEIGHT_PX, MARGIN_PX = 420, 320, 44
MOST_CLASSES = 30  # of a matrix on a page


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], x_title: str, y_title: str) -> str:
    """Name -> (x, y), both in [0, 1], as one SVG chart with a legend, in the colours of classes."""
    inner_w, inner_h = WIDTH_PX - 2 * MARGIN_PX, HEIGHT_PX - 2 * MARGIN_PX

    def at(x: float, y: float) -> str:
        return f"{MARGIN_PX + x * inner_w:.1f},{HEIGHT_PX - MARGIN_PX - y * inner_h:.1f}"

    parts = []
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        for start, end in ((at(tick, 0), at(tick, 1)), (at(0, tick), at(1, tick))):
            parts.append(f'<path d="M{start} L{end}" stroke="#8884" fill="none"/>')
        x, y = (float(edge) for edge in at(tick, 0).split(","))
        parts.append(f'<text x="{x}" y="{y + 15}" text-anchor="middle">{tick:g}</text>')
        x, y = (float(edge) for edge in at(0, tick).split(","))
        parts.append(f'<text x="{x - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for i, (xs, ys) in enumerate(lines.values()):
        points = " ".join(at(x, y) for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_colour(i)}" stroke-width="2"/>')
    middle = WIDTH_PX / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT_PX - 6}" text-anchor="middle">{escape(x_title)}</text>')
    parts.append(f'<text x="14" y="{MARGIN_PX - 16}">{escape(y_title)}</text>')
    legend = "".join(f'<span style="color:{_colour(i)}">■</span> {escape(name)}&ensp;' for i, name in enumerate(lines))
    return (
        f'<svg viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" width="{WIDTH_PX}" font-size="11" fill="currentColor" role="img">'
        f'{"".join(parts)}</svg><p class="note">{legend}</p>'
    )


def confusion(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Rows truth, columns prediction, shaded by the share of the row; past `MOST_CLASSES` only the largest mistakes."""
    if max(len(rows), len(columns)) > MOST_CLASSES:
        return _largest(rows, columns, counts)
    head = "<th>truth \\ prediction</th>" + "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = []
    for name, row in zip(rows, counts, strict=True):
        total = max(sum(row), 1)
        cells = "".join(
            f'<td style="background:rgba(31,119,180,{0.85 * count / total:.2f})">{count or "·"}</td>' for count in row
        )
        body.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _largest(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    mistakes = sorted(
        (
            (n, rows[i], columns[j])
            for i, row in enumerate(counts)
            for j, n in enumerate(row)
            if n and rows[i] != columns[j]
        ),
        reverse=True,
    )
    items = "".join(
        f"<li>{n} × {escape(true)} taken for {escape(said)}</li>" for n, true, said in mistakes[:MOST_CLASSES]
    )
    return f"<ol>{items}</ol>"


def _colour(index: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour_of(index))
