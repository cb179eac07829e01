"""One image through a trained classifier: ONNX Runtime, as it is served, against PyTorch eager, on one thread.

What is measured: milliseconds from uint8 model input to logits, each way in turn, round by round, in one process, so
that a busy machine slows all of them alike. Shown: median and fastest round, and the median over rounds of the ratio to
ONNX Runtime within the same round. Before that, both must give the same logits.

    python benchmarks/classification.py RUN [--batch 1] [--rounds 200] [--json]
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from foveal.export.tasks import exporter_of
from foveal.inference.session import SessionSettings, open_session
from foveal.models.runs import load_run

ORT, EAGER, CHANNELS_LAST = "ONNX Runtime", "torch eager", "torch eager, channels last"
Way = Callable[[np.ndarray], np.ndarray]


def ways(run: Path) -> tuple[dict[str, Way], tuple[int, int], str]:
    """Name -> model inputs (N, H, W, 3) uint8 to logits (N, C); the model input's size; the network's name."""
    torch.set_num_threads(1)
    checkpoint = load_run(run)
    session, _ = open_session(exporter_of(checkpoint.task).trace(checkpoint).model, SessionSettings(threads=1))

    def onnx(model_inputs: np.ndarray) -> np.ndarray:
        return session.run(["logits"], {"images": model_inputs})[0]

    def eager(network: torch.nn.Module) -> Way:
        def forward(model_inputs: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return network(torch.from_numpy(model_inputs)).numpy()

        return forward

    plain = checkpoint.network.to(memory_format=torch.contiguous_format)
    last = load_run(run).network.to(memory_format=torch.channels_last)
    found = {ORT: onnx, EAGER: eager(plain), CHANNELS_LAST: eager(last)}
    return found, checkpoint.preprocess.input_hw, checkpoint.architecture


def measure(found: dict[str, Way], model_inputs: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Way -> milliseconds of each round; the order turns from round to round."""
    for way in found.values():
        for _ in range(5):
            np.testing.assert_allclose(way(model_inputs), found[ORT](model_inputs), atol=1e-3)
    times: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds):
        names = list(found)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            found[name](model_inputs)
            times[name].append((time.perf_counter() - start) * 1000)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found, input_hw, architecture = ways(args.run)
    model_inputs = np.random.default_rng(0).integers(0, 256, (args.batch, *input_hw, 3), dtype=np.uint8)
    times = measure(found, model_inputs, args.rounds)
    rows = {
        name: {
            "median_ms": round(statistics.median(taken), 2),
            "fastest_ms": round(min(taken), 2),
            "times_ort": round(statistics.median(t / o for t, o in zip(taken, times[ORT], strict=True)), 2),
        }
        for name, taken in times.items()
    }
    setup = {
        "network": architecture,
        "model_input": "x".join(map(str, input_hw)),
        "batch": args.batch,
        "rounds": args.rounds,
        "threads": 1,
        "torch": torch.__version__,
        "onnxruntime": ort.__version__,
        "machine": platform.machine(),
    }
    if args.json:
        print(json.dumps({**setup, "ways": rows}))
        return
    print(", ".join(f"{name} {value}" for name, value in setup.items()), end="\n\n")
    print("| way | median ms | fastest ms | times ONNX Runtime |\n|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | {row['median_ms']} | {row['fastest_ms']} | {row['times_ort']} |")


if __name__ == "__main__":
    main()
