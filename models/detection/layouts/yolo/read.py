"""YOLO: a .txt for every image, in labels/ where the image is in images/, or beside it; names in YAML or a list.

A line is `class cx cy w h`, fractions of the upright image; longer lines are `class x1 y1 x2 y2 …`, an outline whose
box is taken and, when every object of the image has one, whose mask too. An image without a .txt has no objects.
"""

from collections.abc import Mapping
from pathlib import Path

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.detection.layouts.assembly import Annotated, Assembly
from foveal.models.detection.layouts.yolo.lines import Seen, is_label_line, read_lines
from foveal.models.detection.layouts.yolo.names import class_names, descriptions, lists
from foveal.models.detection.layouts.yolo.splits import stated_splits
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder, normalized
from foveal.models.reading.documents import files_with
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import split_of
from foveal.text_files import read_text


def read_yolo(folder: DataFolder, recipe: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one.

    Raises:
        BadData: no names of classes, or none that are names.
    """
    images = [path for path in folder.listing.images if "labels" not in _folders(path, folder)]
    texts = _label_files(folder)
    label_of = {image: text for image in images if (text := _text_of(image, texts)) is not None}
    described = next(descriptions(folder), None) if images else None
    if described is None and not (label_of and (lists(folder) or (folder.base / "labels").is_dir())):
        return None
    assembly, seen = Assembly(folder, recipe), Seen()
    names = class_names(described, folder, assembly)
    splits = stated_splits(folder, described[1] if described else None, assembly)
    for image in images:
        text = label_of.get(image)
        where = folder.name_of(text or image)
        if text is None:
            assembly.odd("no annotation", where, "no .txt")
        objects = read_lines(text, names, assembly, seen) if text else []
        assembly.add(Annotated(image, tuple(objects), where, splits.get(image), fractions=True))
    for text in sorted(set(texts.values()) - set(label_of.values())):
        if "labels" in _folders(text, folder) or _looks_like_labels(text):
            assembly.odd("missing image", folder.name_of(text), "a file of labels whose image is not there")
    if seen.kinds["confidence"]:
        assembly.odd("mapped", "-", f"{seen.kinds['confidence']} lines with a sixth number, a score: passed over")
    if seen.kinds["quadrilateral"] and not (seen.kinds["outline"] or seen.kinds["box"]):
        assembly.odd("mapped", "-", "four corners in every line (turned boxes?): read as outlines")
    return assembly.reading("YOLO txt", names)


def _folders(path: Path, folder: DataFolder) -> tuple[str, ...]:
    return tuple(part.lower() for part in path.relative_to(folder.base).parts[:-1])


def _label_files(folder: DataFolder) -> dict[str, Path]:
    """Key -> file, for every .txt that is no list."""
    names = {path.name for path in lists(folder)}
    texts = [path for path in files_with(folder, ".txt") if path.name not in names]
    return {_key(path): path for path in texts}


def _key(path: Path, *, suffix: bool = True) -> str:
    """A path without its suffix, in any case: Labels/ belongs to images/."""
    return normalized(str(path.with_suffix("") if suffix else path)).lower()


def _text_of(image: Path, texts: Mapping[str, Path]) -> Path | None:
    """The file beside the image, or the one in labels/ in place of the last images/."""
    parts = image.with_suffix("").parts
    for place in reversed(range(len(parts) - 1)):
        if parts[place].lower() in ("images", "jpegimages"):
            swapped = Path(*parts[:place], "labels", *parts[place + 1 :])
            if (found := texts.get(_key(swapped, suffix=False))) is not None:
                return found
    return texts.get(_key(image))


def _looks_like_labels(path: Path) -> bool:
    if split_of(path.stem):
        return False
    try:
        first = next((line for line in read_text(path).splitlines() if line.strip()), "")
    except BadData:
        return False
    return is_label_line(first)
