"""Pascal VOC: an .xml an image, in Annotations/ beside JPEGImages/ or images/, or beside the image itself.

Everingham et al., "The Pascal Visual Object Classes Challenge", IJCV 2010. Splits are ImageSets/Main/{train,val,test,
trainval}.txt or folders. The numbers are taken as edges, as written: the tools that write this format today do not
agree on VOC's original 1-based inclusive pixels, and half a pixel of a drawn rectangle is below its own error.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.detection.layouts.assembly import Annotated, Assembly, Object
from foveal.models.detection.layouts.outlines import Box, polygons
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder, normalized
from foveal.models.reading.documents import files_with, read_xml
from foveal.models.reading.fields import BadField, class_name, flag, number
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import TRAINVAL, split_of
from foveal.text_files import read_text

IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img")
EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one.

    Labels are in alphabetical order, since VOC has no list of them.
    """
    assembly = Assembly(folder, recipe)
    documents = dict(_documents(folder, assembly))
    if not documents:
        return None
    listed = _split_lists(folder, documents, assembly)
    labels: set[str] = set()
    for path, root in documents.items():
        where = folder.name_of(path)
        image = _image(path, root, assembly)
        if image is None:
            continue
        objects = tuple(_objects(root, where, assembly))
        labels |= {one.label for one in objects}
        assembly.add(Annotated(image, objects, where, listed.get(path), _stated_hw(root)))
    return assembly.reading("Pascal VOC", sorted(labels))


def _documents(folder: DataFolder, assembly: Assembly) -> Iterator[tuple[Path, ET.Element]]:
    """Files whose root is <annotation>; those that are no XML are findings beside them."""
    broken = []
    for path in files_with(folder, ".xml"):
        try:
            root = read_xml(path)
        except BadData as error:
            broken.append((path, str(error)))
            continue
        if root.tag == "annotation":
            yield path, root
    for path, why in broken:
        assembly.odd("unreadable annotation", folder.name_of(path), why)


def _image(path: Path, root: ET.Element, assembly: Assembly) -> Path | None:
    """The image with the file's own stem, or else the one that it names."""
    folder, where = assembly.folder, assembly.folder.name_of(path)
    try:
        if found := folder.beside(path, IMAGE_FOLDERS):
            return found
    except BadData:  # several of that stem: the file's text decides
        pass
    stated = root.findtext("filename", "").strip() or root.findtext("path", "").strip() or path.stem
    folders = [path.parent, *(p for p in {i.parent for i in folder.listing.images} if p.parent == path.parent.parent)]
    return assembly.image(stated, where, sorted(folders))


def _stated_hw(root: ET.Element) -> tuple[int, int] | None:
    try:
        height, width = (int(number(root.findtext(f"size/{side}"), side)) for side in ("height", "width"))
    except BadField:
        return None
    return height, width


def _objects(root: ET.Element, where: str, assembly: Assembly) -> Iterator[Object]:
    for place, item in enumerate(root.findall("object"), 1):
        here = f"{where}, object {place}"
        try:
            label = class_name(item.findtext("name"))
            yield Object(here, label, _box(item), crowd=flag(item.findtext("difficult")))
        except BadField as error:
            assembly.refused(here, error)


def _box(item: ET.Element) -> Box:
    """The bounding box, or the one around a polygon, as LabelMe (<pt>) and Roboflow (<x1>, <y1>) write it."""
    if item.find("bndbox") is None and (outline := item.find("polygon")) is not None:
        values = [number(corner.text, f"polygon/{corner.tag}") for corner in outline.iter() if corner.tag[:1] in "xy"]
        if len(values) % 2 == 0 and (around := polygons([values]).box_xyxy()) is not None:
            return around
    x1, y1, x2, y2 = (number(item.findtext(f"bndbox/{edge}"), f"bndbox/{edge}") for edge in EDGES)
    return x1, y1, x2, y2


def _split_lists(folder: DataFolder, documents: dict[Path, ET.Element], assembly: Assembly) -> dict[Path, str]:
    """Annotation file -> split of ImageSets/Main, one stem a line; lists of a class (`cat_train.txt`) are none."""
    listed: dict[Path, str] = {}
    lists = [path for path in files_with(folder, ".txt") if path.parent.parts[-2:] == ("ImageSets", "Main")]
    named = {path: split for path in lists if (split := split_of(path.stem))}
    if {"train", "val"} <= set(named.values()):
        named = {path: split for path, split in named.items() if split != TRAINVAL}
    for path, split in named.items():
        home = path.parent.parent.parent
        of_stem = {normalized(one.stem): one for one in documents if one.is_relative_to(home)}
        lines = [normalized(line.strip()) for line in read_text(path).splitlines() if line.strip()]
        stems = [
            line if line in of_stem else line.split()[0] for line in lines
        ]  # a second word may say whether it counts
        unknown = [stem for stem in stems if stem not in of_stem]
        for stem in unknown:
            assembly.odd("left out", folder.name_of(path), f"{stem!r}: an image without an annotation")
        for one in (of_stem[stem] for stem in stems if stem in of_stem):
            if listed.setdefault(one, split) != split:
                assembly.odd("in two splits", folder.name_of(one), f"{listed[one]} and {split}")
    return listed
