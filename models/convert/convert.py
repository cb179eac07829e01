"""A data set in another layout (`convert_data`): read by the readers, past the same gate as training, written anew."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveal.errors import BadData, BadOutput, UnknownName
from foveal.metrics.truth import ObjectTruth
from foveal.models.convert.folders import write_folders
from foveal.models.convert.item import Item, Job, Loss, Write
from foveal.models.convert.maps import write_areas, write_masks, write_painted
from foveal.models.convert.names import stems_of
from foveal.models.convert.objects import write_coco, write_voc, write_yolo_boxes, write_yolo_outlines
from foveal.models.detection.recipe import InstanceRecipe
from foveal.models.readers import READERS, reader_of
from foveal.models.reading.reader import Reader, Reading, refuse
from foveal.models.reading.split_names import TRAINVAL
from foveal.models.segmentation.layouts.truth import LabelMap
from foveal.packages.package import staged_folder

LAYOUTS = ("coco", "yolo", "voc", "masks", "folders")
WRITERS: Mapping[type, Mapping[str, Write]] = {  # type of a truth -> layout -> writer
    int: {"folders": write_folders},
    LabelMap: {"masks": write_masks, "coco": write_areas},
    ObjectTruth: {"coco": write_coco, "yolo": write_yolo_boxes, "voc": write_voc, "masks": write_painted},
}


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        source: the layout that was read, in words.
        images: how many.
        splits: their counts; empty: the data set states none.
        lost: what the new layout cannot hold, a line each.
    """

    source: str
    images: int
    splits: Mapping[str, int]
    lost: tuple[str, ...]


def convert_data(
    root: Path,
    to: str,
    out: Path,
    *,
    task: str | None = None,
    link: bool = False,
    track: Callable[[Iterable[Item], int], Iterable[Item]] = lambda items, _: items,
) -> Converted:
    """Write a data set in another layout, splits kept; everything or nothing.

    Args:
        root: the data set.
        to: one of LAYOUTS.
        out: the folder to make; an empty one is taken.
        task: read it for this task; None: the first that has such a layout and can be written as `to`.
        link: hard links instead of copies of the images, where the file system has them.
        track: may wrap the images, for a progress bar; also gets their number.

    Raises:
        UnknownName: no such layout or task. BadData: no layout that is read, findings that stop training, or a truth
        that cannot be written as `to`. BadOutput: `out` is there already, or cannot be written.
    """
    if to not in LAYOUTS:
        raise UnknownName.among("layout", to, LAYOUTS)
    reader, reading = _read(root, to, task)
    refuse(root, reader.findings(reading, reader.recipe_type()))  # type: ignore[call-arg]  # defaults for all fields
    write = _writer(reader, reading, to)
    loss = Loss()
    items = list(_items(reading, loss))
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    try:
        with staged_folder(out) as staged:
            job = Job(staged, reading.labels, link, loss, bool(reading.split_of))
            write(job, track(items, len(items)))
    except OSError as error:
        raise BadOutput(f"{out}: cannot be written: {error.strerror or error}") from None
    splits = Counter(item.split for item in items if item.split)
    return Converted(reading.layout, len(items), splits, loss.lines())


def _read(root: Path, to: str, task: str | None) -> tuple[Reader[Any], Reading[Any]]:
    """The first reader whose layout can be written as asked for."""
    found = None
    for reader in [reader_of(task)] if task else READERS.values():
        recipe = reader.recipe_type()  # type: ignore[call-arg]
        reading = reader.read(root, recipe, borrowed=task is not None)
        if reading is None or not reading.samples:
            continue
        if _writer(reader, reading, to, required=False) is not None:
            return reader, reading
        found = found or reading
    if found is not None:
        choices = ", ".join(_writers(found))
        raise BadData(f"{root}: {found.layout} can be written as {choices}, not as {to}")
    names = dict.fromkeys(layout.name for reader in READERS.values() for layout in reader.layouts)
    raise BadData(f"{root}: expected one of {', '.join(names)}")


def _writers(reading: Reading[Any]) -> Mapping[str, Write]:
    return WRITERS.get(type(reading.samples[0].truth), {})


def _writer(reader: Reader[Any], reading: Reading[Any], to: str, *, required: bool = True) -> Any:
    write = _writers(reading).get(to)
    if write is write_yolo_boxes and issubclass(reader.recipe_type, InstanceRecipe):
        return write_yolo_outlines
    assert write is not None or not required
    return write


def _items(reading: Reading[Any], loss: Loss) -> Iterable[Item]:
    stems = stems_of(sample.name for sample in reading.samples)
    for sample in reading.samples:
        split = reading.split_of.get(sample.name)
        if split is None and reading.split_of:
            loss.add("images in no split are left out")
            continue
        if split == TRAINVAL:
            loss.add("images of trainval are in train now")
            split = "train"
        yield Item(sample.path, stems[sample.name], split, sample.truth)
