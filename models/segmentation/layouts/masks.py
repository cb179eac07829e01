"""Images with mask files (`read_masks`): a class for every pixel, in any of the folders and encodings of tools."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from foveal.errors import BadData
from foveal.models.data.dataset import Sample
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.findings import Finding
from foveal.models.reading.folder_words import MASKS, folder_named
from foveal.models.reading.reader import Reading
from foveal.models.segmentation.layouts import mask_files
from foveal.models.segmentation.layouts.class_lists import ClassList, conventional, find_class_list
from foveal.models.segmentation.layouts.mask_files import COLOUR, ONE_BIT, PALETTE, Encoding, MaskFile, Scan
from foveal.models.segmentation.layouts.pairs import Pairs, find_pairs, split_in
from foveal.models.segmentation.layouts.split_lists import read_lists
from foveal.models.segmentation.layouts.truth import BACKGROUND, OBJECT, LabelMap, labelled, named_twice
from foveal.models.segmentation.recipe import SegmentationRecipe

NAME = "images and masks of class ids"
WHITE = (255, 65535)  # what a tool writes for "yes", in 8 and 16 bits
EXPECTED_LIST = "classes.txt with a name a line, or labelmap.txt or class_dict.csv with the colours of the masks"


@dataclass(frozen=True)
class Found:
    """Pairs, what is in the masks, and the classes, where they are known."""

    pairs: Pairs
    scans: dict[Path, Scan]  # mask -> its scan
    classes: ClassList | None

    def values(self) -> set[int]:
        """Those of all masks; 1-bit ones, which can be read in no other way, aside."""
        return {_number(one, value) for one in self.scans.values() if one.kind != ONE_BIT for value in one.values}


def _number(one: Scan, value: int) -> int:
    """A grey colour is its grey value; other colours are numbers that no grey has."""
    if one.kind != COLOUR:
        return value
    return value & 0xFF if value == (value & 0xFF) * 0x010101 else value + (1 << 24)


def read_masks(folder: DataFolder, recipe: SegmentationRecipe) -> Reading[LabelMap] | None:
    """Images with masks, when their classes are known and the folder is no Pascal VOC set of boxes.

    Raises:
        BadData: a list of classes or of a split that cannot be one.
    """
    found = _find(folder) if not _has_boxes(folder) else None
    return _reading(folder, found, found.classes, recipe) if found and found.classes else None


def read_masks_asked_for(folder: DataFolder, recipe: SegmentationRecipe) -> Reading[LabelMap] | None:
    """Images with masks where the user says that they are class maps: those beside boxes; otherwise what is missing.

    Raises:
        BadData: as `read_masks`, or nothing says which classes the values stand for.
    """
    found = _find(folder)
    if found is None:
        return None
    if found.classes is None:
        coloured = any(one.kind == COLOUR for one in found.scans.values())
        values = sorted({v for one in found.scans.values() for v in one.values})
        shown = [mask_files.colour_name(v) if coloured else str(v) for v in values[: mask_files.MAX_SHOWN]]
        raise BadData(
            f"{folder.root}: masks with the values {', '.join(shown)}{', …' * (len(values) > len(shown))}: "
            f"expected {EXPECTED_LIST}"
        )
    return _reading(folder, found, found.classes, recipe)


def _has_boxes(folder: DataFolder) -> bool:
    return any((folder.base / "Annotations").glob("*.xml"))


def _find(folder: DataFolder) -> Found | None:
    pairs = find_pairs(folder)
    if pairs is None:
        return None
    masks = sorted({mask for mask in pairs.mask_of.values() if mask is not None})
    with ThreadPoolExecutor() as pool:
        scans = dict(zip(masks, pool.map(mask_files.scan, masks), strict=True))
    found = Found(pairs, scans, find_class_list(_list_folders(folder, masks)))
    if found.classes is not None:
        return found
    values = found.values()
    voc = any(mask.parent.name == "SegmentationClass" for mask in masks)
    palettes = {one.kind for one in scans.values()} == {PALETTE}
    named = conventional((mask.stem for mask in masks), values, voc=voc and palettes)
    if named is None and _binary(found):
        named = ClassList("-", (BACKGROUND, OBJECT))
    return replace(found, classes=named)


def _list_folders(folder: DataFolder, masks: Sequence[Path]) -> list[Path]:
    """Where a list of classes may lie: at the base, in the folders above the masks, beside them."""
    found = [folder.base]
    for parent in dict.fromkeys(mask.parent for mask in masks):
        found += [p for p in (*reversed(parent.parents), parent) if p.is_relative_to(folder.base) and p not in found]
    return found


def _binary(found: Found) -> bool:
    """Nothing but yes and no."""
    values = found.values()
    return any(values <= {0, one} for one in (1, *WHITE))


def _reading(folder: DataFolder, found: Found, classes: ClassList, recipe: SegmentationRecipe) -> Reading[LabelMap]:
    white, findings = _white(found, classes)
    encoding = classes.encoding(white)
    findings += named_twice(classes.names, classes.where)
    if classes.where == "-":
        note = f"classes named {BACKGROUND} and {OBJECT}: expected {EXPECTED_LIST}, got none"
    else:
        note = None
    samples = [_sample(folder, found, image, mask, encoding) for image, mask in found.pairs.mask_of.items()]
    split_of = read_lists(folder, samples)
    if not split_of:
        split_of = {s.name: split for s in samples if (split := split_in(s.path, folder.base))}
    if _has_boxes(folder):  # a Pascal VOC set: some of its images have masks
        samples = [s for s in samples if s.name in split_of or s.truth.path is not None]
    findings += _pairing(folder, found.pairs)
    reading = labelled(NAME, classes.names, samples, split_of, findings, recipe)
    return replace(reading, notes=(note,)) if note else reading


def _white(found: Found, classes: ClassList) -> tuple[dict[int, int], list[Finding]]:
    """White is the second of two classes where masks hold nothing but black and white."""
    if len(classes.names) != 2 or classes.colours or classes.values is not None:
        return {}, []
    values = found.values()
    for white in WHITE:
        if white in values and values <= {0, white}:
            count = sum(white in {_number(one, value) for value in one.values} for one in found.scans.values())
            detail = f"0 and {white} in {count} masks: {white} is read as class {classes.names[1]!r}, not as ignored"
            return {white: 1}, [Finding("mapped", "-", detail)]
    return {}, []


def _sample(folder: DataFolder, found: Found, image: Path, mask: Path | None, encoding: Encoding) -> Sample[MaskFile]:
    name = folder.name_of(image)
    if mask is not None:
        return Sample(name, image, MaskFile(mask, encoding, found.scans[mask]))
    wanted = [part for part in image.relative_to(folder.base).parts[:-1] if folder_named(part).content == MASKS]
    detail = f"expected a mask named after {image.stem!r}, got none{' in ' + wanted[0] if wanted else ''}"
    return Sample(name, image, MaskFile(None, encoding, expected=detail))


def _pairing(folder: DataFolder, pairs: Pairs) -> Iterator[Finding]:
    for mask in pairs.alone:
        yield Finding("unknown image", folder.name_of(mask), "a mask without an image of its name")
    for image, masks in pairs.doubled.items():
        detail = f"expected one mask, got {', '.join(folder.name_of(mask) for mask in masks)}"
        yield Finding("unreadable annotation", folder.name_of(image), detail)
    for path in pairs.left_out:
        yield Finding("left out", folder.name_of(path), "neither in a folder of images nor of masks")
