"""Semantic segmentation, measured three ways; each part against what one would do without thinking.

    python benchmarks/segmentation.py graph RUN [--rounds 30]      ONNX Runtime against torch eager, one thread
    python benchmarks/segmentation.py encode PACKAGE [--rounds 5]  PNG and RLE of a 24-megapixel map against naive ways
    python benchmarks/segmentation.py serve ZOO [--rounds 5]       24 megapixels through /v1/segment: time and memory

Ways take turns, round by round, in one process, so that a busy machine slows all of them alike; ratios are medians over
rounds of the ratio within a round.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from pycocotools import mask as coco_mask

sys.path.insert(0, str(Path(__file__).parent.parent))  # the server as a process

from foveal.formats import to_json
from foveal.imaging import class_map
from foveal.imaging.decode import read_header
from foveal.inference.pipeline import Predictor
from foveal.inference.session import SessionSettings, open_session
from foveal.packages.package import ModelPackage
from foveal.synth import draw
from tests.helpers.servers import Server

LARGE_HW = (4000, 6000)
Way = Callable[[], Any]


def in_turns(ways: Mapping[str, Way], rounds: int) -> dict[str, dict[str, float]]:
    """Way -> median and fastest milliseconds, and the ratio to the first way. The order turns from round to round."""
    names = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.perf_counter()
            ways[name]()
            taken[name].append((time.perf_counter() - start) * 1000)
    return {
        name: {
            "median_ms": round(statistics.median(taken[name]), 2),
            "fastest_ms": round(min(taken[name]), 2),
            "times_first": round(
                statistics.median(a / b for a, b in zip(taken[name], taken[names[0]], strict=True)), 2
            ),
        }
        for name in names
    }


def graph(run: Path, rounds: int) -> dict[str, Any]:
    """Model input to class map: the graph as it is served, and the network in torch."""
    import torch

    from foveal.export.segmentation import ClassMap
    from foveal.export.tasks import exporter_of
    from foveal.models.runs import load_run

    torch.set_num_threads(1)
    checkpoint = load_run(run)
    session, _ = open_session(exporter_of(checkpoint.task).trace(checkpoint).model, SessionSettings(threads=1))
    model_input = draw("aerial", seed=1, index=0, image_hw=checkpoint.preprocess.input_hw).rgb[None]
    networks = {
        "torch eager": ClassMap(load_run(run).network.to(memory_format=torch.contiguous_format)).eval(),
        "torch eager, channels last": ClassMap(load_run(run).network.to(memory_format=torch.channels_last)).eval(),
    }

    def eager(network: torch.nn.Module) -> Way:
        def forward() -> Any:
            with torch.inference_mode():
                return network(torch.from_numpy(model_input))[0].numpy()

        return forward

    ways: dict[str, Way] = {"ONNX Runtime": lambda: session.run(["class_map"], {"images": model_input})[0]}
    ways |= {name: eager(network) for name, network in networks.items()}
    for way in ways.values():
        assert (way() == ways["ONNX Runtime"]()).mean() >= 0.9999
    return {"network": checkpoint.architecture, "input_hw": checkpoint.preprocess.input_hw, **in_turns(ways, rounds)}


def large_jpeg(hw: tuple[int, int] = LARGE_HW) -> bytes:
    """A drawn town of 24 megapixels."""
    rgb = cv2.resize(draw("aerial", seed=1, index=0, image_hw=(hw[0] // 16, hw[1] // 16)).rgb, hw[::-1])
    done, data = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return bytes(data)


def naive_runs(ids: np.ndarray, class_id: int) -> list[int]:
    """COCO's uncompressed counts, a pixel at a time, columns first."""
    counts, value, length = [], False, 0
    for x in range(ids.shape[1]):
        for y in range(ids.shape[0]):
            if (ids[y, x] == class_id) != value:
                counts.append(length)
                value, length = not value, 0
            length += 1
    return [*counts, length]


def encode(package: Path, rounds: int) -> dict[str, Any]:
    """A real answer of 24 megapixels to bytes. The per-pixel loop runs on 1/256 of the map and is scaled up."""
    predictor = Predictor(ModelPackage.open(package))
    result = predictor(large_jpeg())
    ids, labels = result.class_map, result.labels
    small = np.ascontiguousarray(ids[::16, ::16])

    def planes() -> list[Any]:
        return [coco_mask.encode(np.asfortranarray((ids == k).astype(np.uint8))) for k in np.unique(ids)]

    assert [row["counts"] for row in class_map.rles(ids, labels)] == [row["counts"].decode() for row in planes()]
    for row in class_map.rles(small, labels):
        coded = coco_mask.frPyObjects({"size": row["size"], "counts": naive_runs(small, row["class_id"])}, *row["size"])
        assert coded["counts"].decode() == row["counts"]
    png_ways: dict[str, Way] = {
        "PNG": lambda: to_json(class_map.png(ids)),
        "PNG, OpenCV's default filter": lambda: cv2.imencode(".png", ids),
        "JSON list": lambda: to_json(ids.tolist()),
    }
    rle_ways: dict[str, Way] = {
        "RLE": lambda: to_json(class_map.rles(ids, labels)),
        "a plane a class, pycocotools": planes,
    }
    loop_ways: dict[str, Way] = {
        "RLE": lambda: class_map.rles(small, labels),
        "a loop over pixels": lambda: [naive_runs(small, int(k)) for k in np.unique(small)],
    }
    return {
        "pixels": ids.size,
        "bytes": {name: len(png_ways[name]()) for name in ("PNG", "JSON list")} | {"RLE": len(rle_ways["RLE"]())},
        "PNG": in_turns(png_ways, rounds),
        "RLE": in_turns(rle_ways, rounds),
        "RLE of 1/256 of the pixels": in_turns(loop_ways, rounds),
    }


def memory_mb(process_id: int, field: str) -> float:
    """A field of /proc/PID/status, summed over the process and its descendants."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        fields = dict(re.findall(r"^(\w+):\s+(\d+)", text, re.MULTILINE))
        if int(fields["Pid"]) == process_id:
            total += int(fields.get(field, 0)) / 1024
        elif int(fields["PPid"]) == process_id:
            total += memory_mb(int(fields["Pid"]), field)
    return total


def serve(zoo: Path, rounds: int) -> dict[str, Any]:
    """Server-Timing of a 24-megapixel JPEG, whole and in windows; resident memory over that of the idle server."""
    data, found = large_jpeg(), {}
    assert read_header(data).image_hw == LARGE_HW
    queries = {"whole": {}, "whole, rle": {"mask_format": "rle"}, "tile=1024": {"tile": "1024"}}
    for name, query in queries.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            Server(zoo, Path(folder) / "log", ort_threads=1) as server,
            httpx.Client(timeout=120) as client,
        ):
            url = f"{server.url}/v1/segment"
            small = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
            assert client.post(url, content=small).status_code == 200  # every library is loaded now
            idle = memory_mb(server.process.pid, "VmRSS")
            answers = [client.post(url, params=query, content=data) for _ in range(rounds)]
            assert all(answer.status_code == 200 for answer in answers), answers[0].text[:500]
            peak = memory_mb(server.process.pid, "VmHWM")
        timings = [dict(re.findall(r"(\w+);dur=([\d.]+)", a.headers["server-timing"])) for a in answers]
        found[name] = {
            "request_bytes": len(data),
            "answer_bytes": len(answers[0].content),
            "peak_extra_mb": round(peak - idle, 1),
            "ms": {stage: round(statistics.median(float(t[stage]) for t in timings), 1) for stage in timings[0]},
            "total_ms": round(statistics.median(a.elapsed.total_seconds() * 1000 for a in answers), 1),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("graph", "encode", "serve"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    part = {"graph": graph, "encode": encode, "serve": serve}[arguments.part]
    print(json.dumps(part(arguments.path, arguments.rounds), indent=1))


if __name__ == "__main__":
    main()
