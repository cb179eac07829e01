"""Comparison of three services around the same YOLO file: Foveal, Ultralytics' predictor, and code written by hand.

Each has one core and answers JPEGs with boxes; the load generator has another core. The file is an Ultralytics export,
the package what `foveal import` made of it. Environments: of `make setup-serve` and of `make test-peers`.

    python benchmarks/serving/yolo.py PHOTOS --model yolov8n.onnx --package zoo/yolov8n/1 --out yolo.json
"""

import argparse
import json
from pathlib import Path

from peers import measure, photographs
from peers_contenders import ROOT, Contender, raw
from peers_report import report

from foveal.imaging.image_files import SUFFIXES

LARGE_WH = (4000, 3000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of JPEGs of about 640 x 480")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--serve", type=Path, default=ROOT / ".venv-serve", help="environment of Foveal's service")
    parser.add_argument("--others", type=Path, default=ROOT / ".venv-peers", help="environment of the others")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--out", type=Path, default=Path("yolo.json"))
    arguments = parser.parse_args()
    arguments.environments = ROOT
    photos = [path for path in sorted(arguments.photos.rglob("*")) if path.suffix.lower() in SUFFIXES][:20]
    small, large = photographs(photos), photographs(photos[:6], LARGE_WH)
    loads = {
        f"{name}, {width} connection{'s' * (width > 1)}": (images, width)
        for name, images in (("photos", small), ("12 megapixels", large))
        for width in (1, 8)
    }
    rows = measure(contenders(arguments), loads, arguments)
    arguments.out.write_text(json.dumps(rows, indent=1))
    print(report(rows))


def contenders(arguments: argparse.Namespace) -> dict[str, Contender]:
    """By name."""
    serve, others, model = (str(p.absolute()) for p in (arguments.serve, arguments.others, arguments.model))
    command = ("{bin}/python", "{here}/yolo_obvious.py", "{port}", model)
    return {
        "Foveal": Contender(
            serve, (), ("{bin}/foveal", "serve", "--port", "{port}", "--zoo", "{zoo}"), path="/v1/detect", body=raw
        ),
        "FastAPI around Ultralytics' predictor": Contender(others, (), (*command, "ultralytics")),
        "FastAPI and code by hand": Contender(others, (), (*command, "hand")),
    }


if __name__ == "__main__":
    main()
