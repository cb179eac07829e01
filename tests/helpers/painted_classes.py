"""Classifiers of painted tiles that disagree, and their data set, for tests of what takes several models."""

from pathlib import Path

import numpy as np
from PIL import Image

from foveal.models.readers import READERS
from foveal.packages.manifest import Data
from tests.helpers.packages import write_colours

LABELS = ("1-red", "2-green", "3-blue")
RECIPE = {
    "task": "classification",
    "architecture": "pooled-linear",
    "val_fraction": 0.2,
    "test_fraction": 0.5,
    "seed": 0,
}
MEMBERS = {  # gains and temperatures under which they disagree
    "even": {"gain": 8.0, "calibration": {}},
    "reddish": {"gain": (14.0, 8.0, 8.0), "calibration": {"temperature": 0.4}},
    "bluish": {"gain": (6.0, 7.0, 12.0), "calibration": {"temperature": 3.0}},
}


def paint(root: Path, *, count: int = 12) -> Path:
    random = np.random.default_rng(3)
    for class_id, label in enumerate(LABELS):
        (root / label).mkdir(parents=True)
        for i in range(count):
            rgb = random.integers(0, 160, (1, 1, 3)).repeat(20 + i, 0).repeat(max(30 - i, 9), 1).astype(np.uint8)
            rgb[:, :, class_id] = np.minimum(rgb[:, :, class_id] + 60, 255)
            Image.fromarray(rgb).save(root / label / f"{i:02}.png")
    return root


def member(zoo: Path, name: str, data: Path, **changes: object) -> Path:
    reader = READERS["classification"]
    recipe = RECIPE | changes.pop("recipe", {})
    read = reader.load(data, reader.recipe_type.model_validate(recipe))
    described = Data(name="paint", layout="folders", fingerprint=read.fingerprint, images=read.splits.counts())
    fields = {"labels": LABELS, "data": described, "recipe": recipe, **MEMBERS.get(name, {}), **changes}
    return write_colours(zoo, name, **fields)
