"""A new user's first hour: data as Roboflow, CVAT and Label Studio write it, from check to an answer over HTTP."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.helpers.commandline import foveal
from tests.helpers.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def roboflow_folders(drawn: Path, root: Path) -> None:
    """Roboflow, "Folder Structure": train, valid, test; JPEG files with a hash in their names; a text file."""
    for number, file in enumerate(sorted(drawn.rglob("*.png"), key=lambda file: file.name)):
        split = ("train", "train", "train", "train", "valid", "test")[number // 6 % 6]
        name = f"{file.stem}_png.rf.{_digest(file.name)}.jpg"
        target = root / split / file.parent.name / name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(file).convert("RGB").save(target, quality=92)
    (root / "README.roboflow.txt").write_text("\nshapes - v1 raw\n==============================\n")


def cvat_voc(drawn: Path, root: Path) -> None:
    """CVAT, "PASCAL VOC 1.1": one list called default, a labelmap, attributes in each object, Windows line ends."""
    for folder in ("JPEGImages", "Annotations"):
        shutil.copytree(drawn / folder, root / folder)
    for file in (root / "Annotations").iterdir():
        more = "<occluded>0</occluded><attributes><attribute><name>rotation</name><value>0.0</value>"
        more += "</attribute></attributes>"
        file.write_text(file.read_text().replace("</object>", f"{more}</object>").replace("\n", "\r\n"))
    names = sorted(file.stem for file in (drawn / "JPEGImages").iterdir())
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "default.txt").write_text("\n".join(names) + "\n")
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\n")


def label_studio_coco(drawn: Path, root: Path) -> None:
    """Label Studio, "COCO": one result.json; backslashes and an upload's prefix in names; category ids from 0."""
    (root / "images").mkdir(parents=True)
    whole: dict[str, list[dict[str, object]]] = {"images": [], "annotations": [], "categories": []}
    for file in sorted((drawn / "annotations").glob("*.json")):
        part = json.loads(file.read_text())
        first_id = {each["id"]: number for number, each in enumerate(part["categories"])}
        whole["categories"] = [{"id": first_id[each["id"]], "name": each["name"]} for each in part["categories"]]
        for image in part["images"]:
            name = f"{_digest(image['file_name'])[:8]}-{image['file_name']}"
            shutil.copy(drawn / "images" / image["file_name"], root / "images" / name)
            ident = len(whole["images"])
            whole["images"].append(image | {"id": ident, "file_name": f"images\\{name}"})
            for each in part["annotations"]:
                if each["image_id"] == image["id"]:
                    more = {
                        "id": len(whole["annotations"]),
                        "image_id": ident,
                        "category_id": first_id[each["category_id"]],
                    }
                    whole["annotations"].append(each | more | {"segmentation": [], "ignore": 0, "iscrowd": 0})
    (root / "result.json").write_text(json.dumps(whole | {"info": {"contributor": "Label Studio"}}, indent=2))


def cvat_masks(drawn: Path, root: Path) -> None:
    """CVAT, "Segmentation mask 1.1": classes as colours, which a labelmap names; one list called default."""
    names = (drawn / "classes.txt").read_text().split()
    colours = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (250, 125, 187), (51, 221, 255)], np.uint8)[: len(names)]
    shutil.copytree(drawn / "images", root / "JPEGImages")
    (root / "SegmentationClass").mkdir()
    for file in sorted((drawn / "masks").iterdir()):
        Image.fromarray(colours[np.asarray(Image.open(file))]).save(root / "SegmentationClass" / file.name)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    stems = sorted(file.stem for file in (drawn / "images").iterdir())
    (root / "ImageSets" / "Segmentation" / "default.txt").write_text("\n".join(stems) + "\n")
    rows = [f"{name}:{','.join(map(str, colour))}::" for name, colour in zip(names, colours, strict=True)]
    (root / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *rows]) + "\n")


Disguise = Callable[[Path, Path], None]
SETS: dict[str, tuple[str, str, str, Disguise, list[str]]] = {
    "roboflow": ("classification", "shapes", "folders", roboflow_folders, ["--set", "epochs=4"]),
    "cvat voc": ("object-detection", "blood", "voc", cvat_voc, ["--set", "epochs=2"]),
    "label studio": ("object-detection", "blood", "coco", label_studio_coco, ["--set", "epochs=2"]),
    "cvat masks": ("semantic-segmentation", "aerial", "masks", cvat_masks, ["--set", "epochs=2"]),
}


@pytest.mark.parametrize("name", SETS)
def test_from_check_to_an_answer_without_an_edit(name: str, tmp_path: Path) -> None:
    task, style, layout, disguise, more = SETS[name]
    drawn, data, run = tmp_path / "drawn", tmp_path / "my data", tmp_path / "run"
    _done("data", "synth", "--task", task, "--style", style, "--layout", layout, "--count", 72, "--out", drawn)
    data.mkdir()
    disguise(drawn, data)
    code, out, err = foveal("data", "check", data, "--task", task)
    assert code in (0, 1), out + err
    assert "72" in out
    _done("data", "view", data, "--task", task, "--out", tmp_path / "view")
    _done("train", "--task", task, "--data", data, "--out", run, *more)
    _done("export", run, "--out", tmp_path / "zoo" / "mine" / "1")
    _done("verify", tmp_path / "zoo" / "mine" / "1")
    image = next(file for file in data.rglob("*") if file.suffix in {".jpg", ".png"} and "Segm" not in str(file))
    route = {"classification": "classify", "object-detection": "detect"}.get(task, "segment")
    with Server(tmp_path / "zoo", tmp_path / "log") as server:
        answer = httpx.post(f"{server.url}/v1/{route}", content=image.read_bytes(), timeout=60)
    assert answer.status_code == 200, answer.text
    code, out, err = foveal("predict", image, "--model", "mine", "--zoo", tmp_path / "zoo", "--format", "jsonl")
    assert code == 0, err
    assert json.loads(out)["image"]["width"] == answer.json()["results"][0]["image"]["width"]


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _done(*words: object) -> str:
    code, out, err = foveal(*words)
    assert code == 0, f"{words}: {code}\n{out}\n{err}"
    return out
