"""What the names of folders say about their content (`folder_named`): images, masks and annotations, or nothing."""

import re
from dataclasses import dataclass
from functools import lru_cache

from foveal.models.reading.data_folder import normalized
from foveal.models.reading.split_names import split_of

IMAGES, MASKS, ASIDE = "images", "masks", "aside"

_WORDS = {
    **dict.fromkeys(("images", "image", "imgs", "img", "photos", "inputs", "input", "rgb", "original"), IMAGES),
    **dict.fromkeys(("jpegimages", "leftimg8bit", "originals", "pngimages"), IMAGES),
    **dict.fromkeys(("masks", "mask", "labels", "label", "annotations", "annotation", "annot", "annots"), MASKS),
    **dict.fromkeys(("gt", "gts", "groundtruth", "gtfine", "gtcoarse", "segmentation", "segmentations"), MASKS),
    **dict.fromkeys(("seg", "segs", "targets", "segmentationclass", "segmentationclasspng"), MASKS),
    # drawn for people, or of single objects: neither the images nor their classes
    **dict.fromkeys(("segmentationobject", "segmentationobjectpng", "segmentationclassvisualization"), ASIDE),
    **dict.fromkeys(("segmentationobjectvisualization", "visualization", "visualizations", "overlays"), ASIDE),
}


@dataclass(frozen=True)
class Folder:
    """What one folder's name says.

    Attributes:
        content: IMAGES, MASKS, ASIDE, or None.
        place: the rest of the name, in lower case: "train" of `train_masks`, "" of `masks`, all of `paris`.
    """

    content: str | None
    place: str


@lru_cache(maxsize=4096)
def folder_named(name: str) -> Folder:
    """What a folder's name says: all of it, or words of it when the others are names of splits.

    Example:
        >>> folder_named("train_labels"), folder_named("trainannot").place, folder_named("with_mask").content
        (Folder(content='masks', place='train'), 'train', None)
    """
    plain = normalized(name).lower()
    joined = re.sub("ground[ _-]truth", "groundtruth", plain).replace("annot", "_annot")  # SegNet's `trainannot`
    words = [word for word in re.split(r"[^a-z0-9]+", joined) if word]
    found = {_WORDS[word] for word in words if word in _WORDS}
    rest = [word for word in words if word not in _WORDS]
    if not found or any(split_of(word) is None and not word.isdecimal() for word in rest):
        return Folder(None, plain)
    content = next(kind for kind in (ASIDE, MASKS, IMAGES) if kind in found)  # `image_masks` are masks
    return Folder(content, "_".join(rest))
