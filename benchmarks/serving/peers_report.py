"""Table and diagram of the measurements of peers.py.

python benchmarks/serving/peers_report.py results.json [image.svg]
"""

import json
import sys
from pathlib import Path
from statistics import median

FIGURES = ("throughput_per_s", "p50_ms", "p99_ms", "cpu_ms")


def medians(rows: list[dict]) -> dict[str, dict[str, dict[str, float]]]:
    """load -> contender -> figure -> median over the rounds; `failed` is the sum."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for load in dict.fromkeys(row["load"] for row in rows):
        for name in dict.fromkeys(row["contender"] for row in rows):
            own = [row for row in rows if (row["load"], row["contender"]) == (load, name)]
            if own:
                figures = {figure: median(row[figure] for row in own) for figure in FIGURES}
                found.setdefault(load, {})[name] = figures | {"failed": sum(row["failed"] for row in own)}
    return found


def report(rows: list[dict]) -> str:
    """A Markdown table for each load."""
    lines = []
    for load, contenders in medians(rows).items():
        reference = contenders.get("Foveal", {}).get("throughput_per_s", float("nan"))
        lines += [
            f"\n{load}:\n",
            "| | responses/s | Foveal relative to it | p50 ms | p99 ms | CPU ms a request |",
        ]
        lines += ["|---|---|---|---|---|---|"]
        for name, own in contenders.items():
            shown = f"{own['throughput_per_s']:.1f} | {reference / own['throughput_per_s']:.2f}"
            failed = f" ({own['failed']} failed)" if own["failed"] else ""
            lines.append(
                f"| {name} | {shown} | {own['p50_ms']:.1f} | {own['p99_ms']:.1f} | {own['cpu_ms']:.1f}{failed} |"
            )
    return "\n".join(lines)


def image(rows: list[dict], path: Path) -> None:
    """Throughput of each contender, one panel a load; the server without a model is left out."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    loads = medians(rows)
    figure, panels = plt.subplots(1, len(loads), figsize=(4 * len(loads), 3.2), sharey=True, layout="constrained")
    for panel, (load, contenders) in zip(panels, loads.items(), strict=True):
        shown = {n: own["throughput_per_s"] for n, own in reversed(contenders.items()) if "without a model" not in n}
        colours = ["tab:blue" if name == "Foveal" else "tab:gray" for name in shown]
        bars = panel.barh(list(shown), list(shown.values()), color=colours)
        panel.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        panel.set(title=load, xlabel="responses a second", xlim=(0, 1.2 * max(shown.values())))
    figure.savefig(path)


if __name__ == "__main__":
    measured = json.loads(Path(sys.argv[1]).read_text())
    print(report(measured))
    if len(sys.argv) > 2:
        image(measured, Path(sys.argv[2]))
