"""Every classification backbone under one short recipe: accuracy, parity as export measures it, ONNX Runtime latency.

Each network starts from random weights (`weights=none`) on the leak-free split of recipes/sign-digits.toml, at 32 px or
the smallest model input that it takes, and is trained, traced and proved as `foveal train` and `foveal export` do it.
The graphs for latency are the trained networks traced once more at 224 px; they take
their turns round by round in one process, so that a busy machine slows all of them alike.

    python benchmarks/backbones.py WORK --data DIR [NAME …]   # what WORK/backbones.json lacks; a kill loses little
    python benchmarks/backbones.py WORK --latency             # (again) for all rows, on a quiet machine if there is one
    python benchmarks/backbones.py WORK --table               # Markdown on stdout

A name is a backbone's, or BACKBONE=FILE to start from a file of weights (a row of its own).
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from foveal.errors import ParityFailure
from foveal.export.build import parity_images, pipeline_spec
from foveal.export.evaluation.evaluate import evaluate, same_metrics
from foveal.export.proof.parity import prove
from foveal.export.tasks import exporter_of
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import SessionSettings, open_session
from foveal.models.backbones import BACKBONES
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.readers import reader_of
from foveal.models.runs import load_run, train
from foveal.models.training.checkpoint import Checkpoint
from foveal.models.training.run_folder import data_root, read_info

RECIPE = Path(__file__).parent.parent / "recipes" / "sign-digits.toml"  # the split comes from here
SMALLEST_PX = 32
LATENCY_PX = 224
MAX_BATCH = 16
SHORT = (
    "epochs=4",
    "frozen_epochs=0",
    "batch_size=16",
    "lr_head=1e-3",
    "lr_backbone=1e-3",
    "warmup_epochs=0.5",
    "scale_min=0.8",
    "rotate_deg=10",
    "erase=0",
)


def short_recipe(name: str, weights: str) -> ClassificationRecipe:
    """The same for all but backbone and model input."""
    side = max(SMALLEST_PX, BACKBONES[name].smallest_px)
    init = "he" if weights == "none" else "default"
    own = (f"backbone={name}", f"weights={weights}", f"init={init}", f"input_hw=[{side}, {side}]")
    return ClassificationRecipe.load(RECIPE, [*own, *SHORT])


def measure(name: str, weights: str, data: Path, run: Path) -> dict[str, Any]:
    """Train (or go on), prove the graph, score it on test; leaves RUN/latency.onnx."""
    if not (run / "result.json").exists():
        train(short_recipe(name, weights), data, run, log=lambda line: print(line, flush=True))
    checkpoint = load_run(run)
    exporter = exporter_of(checkpoint.task)
    test = reader_of(checkpoint.task).load(data_root(run), checkpoint.recipe).splits.test
    spec = pipeline_spec(checkpoint, max_batch=MAX_BATCH)
    reference = Pipeline(spec, exporter.reference(checkpoint), "torch")
    graph = Pipeline(spec, *open_session(exporter.trace(checkpoint).model, SessionSettings(threads=1)))
    in_double = exporter.exact(checkpoint)
    exact = None if in_double is None else Pipeline(spec, in_double, "torch")
    images = parity_images(test, spec.preprocess)
    try:
        parity: Any = prove(exporter, reference, graph, images, exact=exact).measured
    except ParityFailure as failure:  # this network would get no package; the row says why
        parity = str(failure)
    metrics = same_metrics(evaluate(reference, test), evaluate(graph, test), "test")
    (run / "latency.onnx").write_bytes(exporter.trace(at(checkpoint, LATENCY_PX)).model)
    return {
        "parameters": read_info(run).parameters,
        "input_px": checkpoint.preprocess.input_hw[0],
        "train_seconds": json.loads((run / "result.json").read_text())["seconds"],
        "top1": metrics.values["top1"],
        "top1_95": metrics.intervals_95["top1"],
        "images": metrics.images,
        "parity": parity,
    }


def at(checkpoint: Checkpoint, side_px: int) -> Checkpoint:
    """The same network for another model input."""
    preprocess = checkpoint.preprocess.model_copy(update={"input_hw": (side_px, side_px)})
    return replace(checkpoint, preprocess=preprocess)


def latencies(graphs: dict[str, Path], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds from one uint8 model input to logits, one thread; the order turns from round to round."""
    settings = SessionSettings(threads=1)
    sessions = {name: open_session(path.read_bytes(), settings)[0] for name, path in graphs.items()}
    model_input = np.random.default_rng(0).integers(0, 256, (1, LATENCY_PX, LATENCY_PX, 3), dtype=np.uint8)
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(-2, rounds):  # two rounds to warm up
        names = list(sessions)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            sessions[name].run(["logits"], {"images": model_input})
            if number >= 0:
                times[name].append((time.perf_counter() - start) * 1000)
    return {
        name: {"median_ms": round(statistics.median(taken), 2), "fastest_ms": round(min(taken), 2), "rounds": rounds}
        for name, taken in times.items()
    }


def table(rows: dict[str, Any]) -> str:
    """Rows by falling accuracy."""
    lines = [
        "| backbone | parameters | model input, px | top-1 on test | 95 % interval | training, s "
        f"| parity: worst logit (bound) | ORT at {LATENCY_PX} px: fastest, median ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in sorted(rows.items(), key=lambda item: (-item[1]["top1"], item[1]["parameters"])):
        low, high = row["top1_95"]
        parity = row["parity"]
        proved = (
            "refused" if isinstance(parity, str) else f"{parity['logits_max_abs']:.1g} ({parity['logits_bound']:.1g})"
        )
        latency = f"{row['fastest_ms']:.1f}, {row['median_ms']:.1f}" if "fastest_ms" in row else ""
        lines.append(
            f"| `{name}` | {row['parameters']:,} | {row['input_px']} | {row['top1']:.3f} | {low:.3f} – {high:.3f} "
            f"| {row['train_seconds']:.0f} | {proved} | {latency} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("names", nargs="*", default=list(BACKBONES))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_intermixed_args()
    path = args.work / "backbones.json"
    rows: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def keep() -> None:
        path.with_suffix(".partial").write_text(json.dumps(rows, indent=2))
        path.with_suffix(".partial").rename(path)

    if args.data:
        args.work.mkdir(parents=True, exist_ok=True)
        for given in args.names:
            name, _, weights = given.partition("=")
            row = f"{name}, pretrained" if weights else name
            if row not in rows:
                print(f"--- {row}", flush=True)
                rows[row] = measure(name, weights or "none", args.data, args.work / row.replace(", ", "-"))
                keep()
                print(rows[row], flush=True)
    if args.latency:
        graphs = {row: args.work / row.replace(", ", "-") / "latency.onnx" for row in rows}
        for row, measured in latencies(graphs, args.rounds).items():
            rows[row] |= measured
        keep()
    if args.table:
        print(table(rows))


if __name__ == "__main__":
    main()
