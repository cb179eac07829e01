"""Notes before a training (`advice`): classes too rare to be measured, model inputs that are mostly padding."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from foveal.errors import BadImage
from foveal.imaging.decode import read_header
from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import DataSet, Sample
from foveal.models.recipe import Recipe
from foveal.models.training.task import TaskTrainer

FEW = 5  # held-out cases of a class, below which its figures say next to nothing
LISTED = 5  # classes that a note names
LOOKED_AT = 200  # images whose size is read
WASTE = 0.15  # share of padding from which on another model input is proposed
STEP_PX = 32  # sides of a model input are multiples of it


def advice(task: TaskTrainer, recipe: Recipe, data: DataSet[Any]) -> list[str]:
    """What a person should know before the first epoch, a line each."""
    return [*rare_classes(task, data), *padded_inputs(task.preprocess(recipe), recipe, data.splits.train)]


def rare_classes(task: TaskTrainer, data: DataSet[Any]) -> list[str]:
    """Classes of which a held-out split has next to none: an accuracy near 1 is then no merit."""
    if not task.counts_at_once:
        return []
    lines = []
    for split in ("val", "test"):
        samples = data.splits[split]
        counts = Counter(dict.fromkeys(data.labels, 0))
        for sample in samples:
            counts.update(task.count(sample.truth, data.labels))
        few = sorted((count, label) for label, count in counts.items() if count < FEW)
        if samples and few:
            named = ", ".join(f"{count or 'no'} {label}" for count, label in few[:LISTED])
            more = f" and {len(few) - LISTED} more classes" if len(few) > LISTED else ""
            lines.append(
                f"{split} holds {named}{more}, of {sum(counts.values())} {task.unit}: its figures cannot tell whether "
                "they are learnt"
            )
    return lines


def padded_inputs(preprocess: Preprocess, recipe: Recipe, samples: Sequence[Sample[Any]]) -> list[str]:
    """A proposal of another input_hw, where letterboxing leaves much of the present one empty."""
    turned = getattr(recipe, "rotate_90", False)  # then images lie in either direction
    if preprocess.mode != "letterbox" or turned:
        return []
    sizes = image_sizes(samples)
    if not len(sizes):
        return []
    proposed = fitting_hw(recipe.input_hw, sizes)
    now, then = (padding_share(hw, sizes) for hw in (recipe.input_hw, proposed))
    if now < WASTE or now - then < WASTE / 2:
        return []
    height, width = np.median(sizes, axis=0).astype(int)
    return [
        f"images are mostly {width} × {height} px: {now:.0%} of the model input of {recipe.input_hw[1]} × "
        f"{recipe.input_hw[0]} px is padding; --set input_hw=[{proposed[0]},{proposed[1]}] shows them at the same "
        f"size with {then:.0%}, so trains and answers faster"
    ]


def image_sizes(samples: Sequence[Sample[Any]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(N, 2) height and width in px of some of the images, after EXIF; unreadable ones are left to the training."""
    sizes = []
    for sample in samples[:: -(-len(samples) // LOOKED_AT) or 1]:
        try:
            sizes.append(read_header(sample.path.read_bytes()).image_hw)
        except (BadImage, OSError):
            continue
    return np.array(sizes, np.int64).reshape(-1, 2)


def fitting_hw(input_hw: tuple[int, int], sizes: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[int, int]:
    """The smallest model input that shows the median shape of image as large as `input_hw` does."""
    shape = float(np.median(sizes[:, 0] / sizes[:, 1]))  # height / width
    scale = min(input_hw[0] / shape, float(input_hw[1]))  # width of the content in px
    height, width = (max(1, round(side / STEP_PX + 0.2)) * STEP_PX for side in (scale * shape, scale))
    return min(height, input_hw[0]), min(width, input_hw[1])


def padding_share(input_hw: tuple[int, int], sizes: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    """Share of the model input that letterboxing leaves empty, the mean over images."""
    scales = np.minimum(input_hw[0] / sizes[:, 0], input_hw[1] / sizes[:, 1])
    filled = sizes.prod(axis=1) * scales**2 / (input_hw[0] * input_hw[1])
    return float(1 - filled.mean())
