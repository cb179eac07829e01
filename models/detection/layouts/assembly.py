"""Readings of objects (`Assembly`): what every layout hands over, an image at a time, is checked and put together here.

A layout finds images and turns its own way of writing into `Object`s; whether boxes and outlines can be learnt from is
the same question for all of them.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foveal.errors import BadData, BadImage
from foveal.imaging.boxes import box_iou
from foveal.imaging.decode import read_header
from foveal.metrics.truth import ObjectTruth, Rle
from foveal.models.data.dataset import Sample
from foveal.models.detection.layouts.outlines import Box, Outline
from foveal.models.detection.layouts.truth import objects
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.fields import BadField
from foveal.models.reading.findings import DUPLICATE_IOU, Finding
from foveal.models.reading.reader import Reading
from foveal.models.reading.split_names import TRAINVAL

OUTSIDE_PX = 1.0  # annotators' rounding stays silent


@dataclass(frozen=True, slots=True)
class Object:
    """One annotated object. Without a box, that of the outline is taken."""

    where: str  # file and id, line or place in it
    label: str
    box_xyxy: Box | None
    outline: Outline | None = None
    crowd: bool = False
    area_px: float | None = None


@dataclass(frozen=True, slots=True)
class Annotated:
    """One image as a layout found it."""

    path: Path
    objects: tuple[Object, ...]
    where: str  # the file that lists it
    split: str | None = None
    stated_hw: tuple[int, int] | None = None  # as the annotation has it; 0: unknown
    fractions: bool = False  # boxes and polygons are shares of the image's width and height


class Assembly:
    """Gathers images and findings of one layout."""

    def __init__(self, folder: DataFolder, recipe: DetectionRecipe) -> None:
        self.folder = folder
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self._drops_maskless = isinstance(recipe, InstanceRecipe)
        self._images: dict[Path, Annotated] = {}
        self._with_mask = 0
        self._boxes_only: list[tuple[str, str]] = []  # where and what of objects without an outline

    def odd(self, kind: str, name: str, detail: str) -> None:
        """Take down a finding."""
        self.findings.append(Finding(kind, name, detail))

    def refused(self, where: str, error: BadField) -> None:
        """Take down what is wrong with an annotation."""
        self.odd(error.kind, where, str(error))

    def image(self, stated: str, where: str, folders: Sequence[Path] = (), split: str | None = None) -> Path | None:
        """The image of that name, or a finding."""
        try:
            found = self.folder.find(stated, folders, split)
        except BadData as error:
            self.odd("missing image", where, str(error))
            return None
        if found is None:
            self.odd("missing image", where, repr(stated))
        return found

    def add(self, image: Annotated) -> None:
        """Take an image over; one that was there before must not have other objects or another split."""
        before = self._images.get(image.path)
        if before is None:
            self._images[image.path] = image
            return
        name = self.folder.name_of(image.path)
        if before.split != image.split:
            self.odd("in two splits", name, f"{before.split} ({before.where}), {image.split} ({image.where})")
        elif before.objects and image.objects:
            self.odd("image twice", name, f"{before.where}, {image.where}")
        elif image.objects:
            self._images[image.path] = image

    def reading(self, layout: str, labels: Sequence[str]) -> Reading[ObjectTruth]:
        """Everything that was taken over, in the order of names."""
        class_of = {label: index for index, label in reversed(list(enumerate(labels)))}
        images = sorted(self._images.values(), key=lambda image: self.folder.name_of(image.path))
        with ThreadPoolExecutor() as pool:
            headers = list(pool.map(_header, [image.path for image in images]))
        samples = []
        for image, header in zip(images, headers, strict=True):
            name = self.folder.name_of(image.path)
            if isinstance(header, str):
                self.odd("unreadable image", name, header)
            else:
                samples.append(Sample(name, image.path, self._truth(name, image, header, class_of)))
        listed_in = {image.path.parent for image in images}
        for path in self.folder.listing.images:
            if path.parent in listed_in and path not in self._images:
                self.odd("left out", self.folder.name_of(path), "in no file of annotations")
        for where, what in self._boxes_only if self._with_mask else ():
            self.odd("some masks", where, what)
        split_of = self._splits(images)
        return Reading(layout, tuple(labels), tuple(samples), split_of, tuple(self.findings), tuple(self.notes))

    def _splits(self, images: Sequence[Annotated]) -> dict[str, str]:
        """Sample name -> split; where only held-out images are named, the others are what is left to learn from."""
        stated = {image.path: image.split or self.folder.split_of(image.path) for image in images}
        named = {split for split in stated.values() if split is not None}
        others = TRAINVAL if named and not named & {"train", TRAINVAL} else None
        return {self.folder.name_of(path): split for path, own in stated.items() if (split := own or others)}

    def _truth(
        self, name: str, image: Annotated, header: tuple[tuple[int, int], int], class_of: dict[str, int]
    ) -> ObjectTruth:
        image_hw, orientation = header
        self._size(name, image, image_hw, orientation)
        kept: list[tuple[Object, Box, Rle | None]] = []
        for one in image.objects:
            if image.fractions:
                one = _in_pixels(one, image_hw)
            if one.label not in class_of:
                self.odd("unknown label", one.where, repr(one.label))
            elif (box := self._box(one, name, image_hw)) is not None:
                mask = self._mask(one, name, image_hw)
                if mask is not None or one.outline is None or not self._drops_maskless:
                    kept.append((one, box, mask))
        self.findings += _duplicates(name, kept)
        masks = [mask for _, _, mask in kept if mask is not None]
        self._with_mask += len(masks)
        self._boxes_only += [(one.where, f"{name}: {one.label}") for one, _, _ in kept if one.outline is None]
        areas = [one.area_px for one, _, _ in kept if one.area_px is not None]
        return objects(
            [box for _, box, _ in kept],
            [class_of[one.label] for one, _, _ in kept],
            image_hw,
            iscrowd=[one.crowd for one, _, _ in kept],
            masks=masks if len(masks) == len(kept) > 0 else None,
            areas_px=areas if len(areas) == len(kept) > 0 else None,
        )

    def _size(self, name: str, image: Annotated, image_hw: tuple[int, int], orientation: int) -> None:
        """Compare the stated size, which is never used, with the image's."""
        stated = image.stated_hw
        if stated is None or 0 in stated or stated == image_hw:
            return
        detail = f"{image.where}: stated {stated[1]} x {stated[0]}, is {image_hw[1]} x {image_hw[0]}"
        turned = stated == image_hw[::-1] and orientation >= 5
        self.odd("EXIF rotation" if turned else "wrong size", name, detail)
        boxes = [box for one in image.objects if (box := one.box_xyxy) is not None and not image.fractions]
        if turned and _reach(boxes, image_hw) > OUTSIDE_PX >= _reach(boxes, stated):
            self.odd("unrotated boxes", name, f"{image.where}: reach out of {image_hw[1]} x {image_hw[0]}")

    def _box(self, one: Object, name: str, image_hw: tuple[int, int]) -> Box | None:
        """The object's box, or a finding that says why it has none that can be learnt from."""
        box = one.box_xyxy or (one.outline and one.outline.box_xyxy())
        if not box:
            kind = "unreadable annotation" if one.outline is None else "flat outline"
            self.odd(kind, one.where, f"{name}: {one.label}: neither a box nor an outline with an area")
            return None
        x1, y1, x2, y2 = box
        height, width = image_hw
        what = f"{name}: {one.label} {[round(edge, 2) for edge in box]}"
        if x2 <= x1 or y2 <= y1:
            self.odd("degenerate box", one.where, what)
            return None
        if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
            self.odd("beside the image", one.where, f"{what} in {width} x {height}")
            return None
        if x2 - x1 < 1 or y2 - y1 < 1:
            self.odd("tiny box", one.where, what)
        if _reach([box], image_hw) > OUTSIDE_PX:
            self.odd("outside box", one.where, f"{what} in {width} x {height}")
        return box

    def _mask(self, one: Object, name: str, image_hw: tuple[int, int]) -> Rle | None:
        if one.outline is None:
            return None
        try:
            mask = one.outline.rle(image_hw)
        except BadField as error:
            self.odd(error.kind, one.where, f"{name}: {one.label}: {error}")
            return None
        if mask is None:
            self.odd("flat outline", one.where, f"{name}: {one.label}: no area")
        return mask


def _header(path: Path) -> tuple[tuple[int, int], int] | str:
    """Upright height and width, and orientation, of an image; or why it has none."""
    try:
        header = read_header(path.read_bytes())
    except (BadImage, OSError) as error:
        return str(error)
    return header.image_hw, header.exif_orientation


def _in_pixels(one: Object, image_hw: tuple[int, int]) -> Object:
    height, width = image_hw
    box = one.box_xyxy
    pixels = None if box is None else (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    outline = None if one.outline is None else one.outline.scaled(width, height)
    return replace(one, box_xyxy=pixels, outline=outline)


def _reach(boxes: Sequence[Box], image_hw: tuple[int, int]) -> float:
    """How many pixels the boxes reach out of the image; negative: all lie inside."""
    height, width = image_hw
    return max((max(-x1, -y1, x2 - width, y2 - height) for x1, y1, x2, y2 in boxes), default=-np.inf)


def _duplicates(name: str, kept: Sequence[tuple[Object, Box, Rle | None]]) -> Iterator[Finding]:
    if len(kept) < 2:
        return
    boxes = np.array([box for _, box, _ in kept])
    labels = np.array([one.label for one, _, _ in kept], dtype=object)
    same = labels[:, None] == labels[None]
    for i, j in np.argwhere(np.triu(same & (box_iou(boxes, boxes) >= DUPLICATE_IOU), k=1)):
        box = [round(edge, 2) for edge in kept[j][1]]
        yield Finding("duplicate box", kept[j][0].where, f"{name}: {labels[j]} {box}, as {kept[i][0].where}")
