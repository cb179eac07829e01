"""The diagnosis as one self-contained HTML file."""

import base64
import io
from html import escape

from matplotlib.figure import Figure

from foveal.models.diagnose.findings import Diagnosis, Finding

STEPS = {
    1: "The initial loss",
    2: "Overfitting a handful of samples",
    3: "Learning-rate range test",
    4: "Coarse search, on log scales",
    5: "Finer search around the winners",
    6: "A short training",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
td { padding: .2rem .8rem; vertical-align: top } img { max-width: 100% }
pre { background: #f4f4f4; padding: 1rem; overflow-x: auto }
.ok { color: #17652f } .note { color: #7a5300 } .fault { color: #a3001b; font-weight: bold } figcaption { color: #555 }
"""


def to_html(diagnosis: Diagnosis) -> str:
    """Verdicts in a table, then the steps with their images, then the recipe."""
    title = f"Diagnosis: {diagnosis.task} on {diagnosis.data}"
    verdict = "No fault found." if diagnosis.healthy else "Faults were found; correct them before a long training."
    sections = "".join(_section(diagnosis, step) for step in STEPS)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{verdict}</p><table>{''.join(map(_row, diagnosis.findings))}</table>"
        f"{sections}<h2>Recipe</h2><pre>{escape(diagnosis.recipe_toml)}</pre></html>\n"
    )


def _row(finding: Finding) -> str:
    return (
        f'<tr><td>{finding.step}<td class="{finding.verdict}">{finding.verdict}<td>{escape(finding.name)}'
        f"<td>{escape(finding.words)}</tr>"
    )


def _section(diagnosis: Diagnosis, step: int) -> str:
    findings = [f for f in diagnosis.findings if f.step == step]
    if not findings:
        return ""
    words = "".join(f'<p class="{f.verdict}">{escape(f.name)}: {escape(f.words)}</p>' for f in findings)
    figures = "".join(_figure(p.figure, p.caption) for p in diagnosis.images if p.step == step)
    return f"<h2>{step}. {STEPS[step]}</h2>{words}{figures}"


def _figure(figure: Figure, caption: str) -> str:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    data = base64.b64encode(png.getvalue()).decode()
    name = escape(caption)
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><figcaption>{name}</figcaption></figure>'
