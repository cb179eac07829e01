"""Loading of detection data sets: the layout is recognised, the samples are split."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from foveal.errors import BadData
from foveal.imaging.decode import decode
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import SPLITS, DataSet, Sample, Splits, fingerprint, imbalance_note, listed, make_splits
from foveal.models.detection.layouts.base import Reading
from foveal.models.detection.layouts.coco import read_coco
from foveal.models.detection.layouts.idmaps import read_idmaps
from foveal.models.detection.layouts.truth import describe
from foveal.models.detection.layouts.voc import read_voc
from foveal.models.detection.layouts.yolo import read_yolo
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe

LAYOUTS = ("COCO JSON", "Pascal VOC", "YOLO txt", "instance-id maps")


def recognised(root: Path, instance_label: str = "object") -> Reading | None:
    """The data set as it is written, or None when the folder has none of LAYOUTS.

    Raises:
        BadData: a layout of these that cannot be read.
    """
    readers: tuple[Callable[[Path], Reading | None], ...] = (
        read_coco,
        read_voc,
        read_yolo,
        lambda folder: read_idmaps(folder, instance_label),
    )
    readings = (read(root) for read in readers)
    return next((reading for reading in readings if reading is not None), None)


def read_objects(root: Path, instance_label: str = "object") -> Reading:
    """The data set as it is written.

    Raises:
        BadData: no folder, no layout that is read here, or one that cannot be read.
    """
    if not root.is_dir():
        raise BadData(f"{root}: expected a folder")
    if (reading := recognised(root, instance_label)) is None:
        raise BadData(f"{root}: expected one of {', '.join(LAYOUTS)}")
    return reading


def load_objects(root: Path, recipe: DetectionRecipe) -> DataSet[ObjectTruth]:
    """Read and split. The layout's own split is used where it is complete, else one is made as the recipe says.

    Raises:
        BadData: as `read_objects`; or objects without masks, which instance segmentation cannot learn from.
    """
    reading = read_objects(root, recipe.instance_label)
    samples = reading.samples
    without = [s.name for s in samples if len(s.truth) and s.truth.masks is None]
    if isinstance(recipe, InstanceRecipe) and without:
        raise BadData(f"{root}: expected a mask for each object, got boxes only in {listed(without)}")
    splits, how = _splits(samples, reading, recipe)
    counts = Counter(reading.labels[i] for s in samples for i in s.truth.class_ids)
    boxes = sum(counts.values())
    notes = [f"{reading.layout}: {len(samples)} images, {boxes} objects, {len(reading.labels)} labels; {how}"]
    if len(counts) > 1:
        notes.append(imbalance_note(counts).replace("samples", "objects"))
    return DataSet(
        name=root.resolve().name,
        layout=reading.layout,
        labels=reading.labels,
        splits=splits,
        fingerprint=fingerprint(samples, describe),
        notes=tuple(notes),
    )


def _splits(
    samples: Sequence[Sample[ObjectTruth]], reading: Reading, recipe: DetectionRecipe
) -> tuple[Splits[ObjectTruth], str]:
    official = [tuple(s for s in samples if reading.split_of.get(s.name) == split) for split in SPLITS]
    if recipe.split_file is None and official[0] and official[1]:
        return Splits(*official), "the data set's own split"
    kinds = [appearance_of(s) if recipe.stratify_by_appearance else "" for s in samples]
    pairs = [Sample(s.name, s.path, (s.truth, kind)) for s, kind in zip(samples, kinds, strict=True)]
    made = make_splits(pairs, recipe, lambda pair: strata(pair[0], pair[1], reading.labels))
    by_name = {s.name: s for s in samples}
    return Splits(*(tuple(by_name[s.name] for s in made[split]) for split in SPLITS)), f"split with seed {recipe.seed}"


def strata(truth: ObjectTruth, appearance: str, labels: Sequence[str]) -> Mapping[str, int]:
    """What a split spreads evenly: objects by class, and the kind of image where that is known."""
    counts = Counter(f"class {labels[i]}" for i in truth.class_ids)
    if appearance:
        counts[f"kind {appearance}"] += 1
    return counts


def appearance_of(sample: Sample[ObjectTruth]) -> str:
    """An image's kind by its mean colour and size: dark, or light with a blue or a red cast.

    Tells apart, for instance, fluorescence, haematoxylin-eosin and purple stains, and magnifications that come with
    sensor sizes of their own.
    """
    red, _, blue = decode(sample.path.read_bytes()).rgb.mean((0, 1))
    height, width = sample.truth.image_hw
    tone = "dark" if red + blue < 160 else "blue" if blue >= red else "red"
    return f"{tone} {width}x{height}"
