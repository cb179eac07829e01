"""Which mask belongs to which image (`find_pairs`): by folders, by names, and by what tools add to names."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foveal.imaging.image_files import SUFFIXES
from foveal.models.reading.data_folder import DataFolder, normalized
from foveal.models.reading.folder_words import ASIDE, IMAGES, MASKS, folder_named
from foveal.models.reading.split_names import split_within

_OF_MASKS = re.compile(
    r"(?:[ ._-](?:masks?|seg|segmentation|labels?|gt|l|annotation|ground_?truth"
    r"|gt(?:fine|coarse)_label(?:train)?ids))$|^(?:masks?|seg|labels?|gt)[ ._-]"
)
_OF_IMAGES = re.compile(r"(?:[ ._-](?:images?|img|sat|rgb|leftimg8bit))$|^(?:images?|img)[ ._-]")
_FOR_PEOPLE = re.compile(r"[ ._-](?:color|colour|colored|instanceids|instancetrainids|vis|overlay)$")
Key = tuple[tuple[str, ...], str]  # folders that say neither image nor mask, and a name


@dataclass
class Pairs:
    """Images with their masks."""

    mask_of: dict[Path, Path | None] = field(default_factory=dict)  # image -> mask, or None where it is missing
    doubled: dict[Path, tuple[Path, ...]] = field(default_factory=dict)  # image -> its masks, where there are several
    alone: list[Path] = field(default_factory=list)  # masks without an image
    left_out: list[Path] = field(default_factory=list)  # neither in a folder of images nor of masks


def find_pairs(folder: DataFolder) -> Pairs | None:
    """The images and masks of a folder, or None when it has no such pairs.

    Masks lie in folders of their own (`masks/`, `SegmentationClass/`, `train_labels/`) or beside the images with a
    word at their names' end (`x_mask.png`). Elsewhere, more than half of the images must have one.
    """
    images, masks, others = _by_folder(folder)
    in_folders = bool(masks)
    if not in_folders:
        images, masks = _by_name(images)
    pairs = Pairs(dict.fromkeys(images), left_out=others)
    _match(pairs, images, masks)
    matched = sum(mask is not None for mask in pairs.mask_of.values())
    enough = matched > 0 if in_folders else 2 * matched > len(images)
    return pairs if enough else None


def split_in(path: Path, base: Path) -> str | None:
    """The split that one of an image's folders is named after."""
    parents = path.relative_to(base).parts[:-1]
    return next((split for part in parents if (split := split_within(part))), None)


def _by_folder(folder: DataFolder) -> tuple[list[Path], list[Path], list[Path]]:
    images, masks, others = [], [], []
    for path in folder.listing.images:
        kinds = [folder_named(part) for part in path.relative_to(folder.base).parts[:-1]]
        contents = {kind.content for kind in kinds}
        if ASIDE in contents:
            continue
        if MASKS in contents:
            if not _FOR_PEOPLE.search(_stem(path)):
                masks.append(path)
        elif IMAGES in contents or all(split_within(kind.place) for kind in kinds):
            images.append(path)
        else:
            others.append(path)
    return images, masks, others


def _by_name(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Those with a mask's word beside one without it."""
    stems: dict[Path, set[str]] = defaultdict(set)
    for path in paths:
        stems[path.parent] |= {_stem(path), _core(_stem(path), _OF_IMAGES)}
    images: list[Path] = []
    masks: list[Path] = []
    for path in paths:
        core = _core(_stem(path), _OF_MASKS)
        (masks if core != _stem(path) and core in stems[path.parent] else images).append(path)
    return images, masks


def _match(pairs: Pairs, images: Iterable[Path], masks: Iterable[Path]) -> None:
    index: dict[Key, list[Path]] = defaultdict(list)
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        for name in dict.fromkeys((_stem(image), _core(_stem(image), _OF_IMAGES))):
            index[_place(image), name].append(image)
            by_name[name].append(image)
    found: dict[Path, list[Path]] = defaultdict(list)
    for mask in masks:
        if (owner := next(_candidates(mask, index, by_name), None)) is None:
            pairs.alone.append(mask)
        else:
            found[owner].append(mask)
    for image, mine in found.items():
        # Cityscapes has the same mask in two numberings
        chosen = [mask for mask in mine if mask.stem.lower().endswith("labeltrainids")] or mine
        pairs.mask_of[image] = chosen[0]
        if len(chosen) > 1:
            pairs.doubled[image] = tuple(chosen)


def _candidates(mask: Path, index: dict[Key, list[Path]], by_name: dict[str, list[Path]]) -> Iterator[Path]:
    """Images that a mask may belong to, likeliest first: in the same place, else the only one of that name."""
    names = tuple(dict.fromkeys((_stem(mask), _core(_stem(mask), _OF_MASKS))))
    for name in names:
        yield from index.get((_place(mask), name), ())[:1]
    for name in names:
        if len(known := by_name.get(name, [])) == 1:
            yield known[0]


def _place(path: Path) -> tuple[str, ...]:
    """The folders of a file, without what says that it is an image or a mask."""
    return tuple(place for part in path.parts[:-1] if (place := folder_named(part).place))


def _stem(path: Path) -> str:
    """The name without suffix, `a` of `a.jpg.png` too, composed and in lower case."""
    stem = normalized(path.stem).lower()
    return stem[: -len(inner)] if (inner := next((s for s in SUFFIXES if stem.endswith(s)), "")) else stem


def _core(stem: str, added: re.Pattern[str]) -> str:
    return added.sub("", stem, count=1) or stem
