"""What is odd about a data set (`Finding`), by kind; which kinds make training meaningless (`KINDS`)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

DUPLICATE_IOU = 0.95
MAX_NAMES = 5  # listed for each kind


@dataclass(frozen=True)
class Finding:
    """Something in a data set that a person should know."""

    kind: str  # a key of KINDS
    name: str  # of the sample or file, with the annotation's id where it has one
    detail: str


@dataclass(frozen=True)
class Kind:
    """What a kind of finding means; `stops` refuses training, evaluation and export with it."""

    meaning: str
    stops: bool = False


KINDS: dict[str, Kind] = {
    # stop: the truth is not there, is not what was meant, or cannot be scored
    "nothing to learn": Kind("no image holds anything that a network could learn", stops=True),
    "unreadable image": Kind("the image cannot be decoded", stops=True),
    "unreadable annotation": Kind("a field is missing, or is not what it must be", stops=True),
    "not a number": Kind("a coordinate is NaN or infinite", stops=True),
    "missing image": Kind("an annotation's image is not there", stops=True),
    "in two splits": Kind("an image that two splits list", stops=True),
    "unrotated boxes": Kind("boxes that fit the image only before its EXIF rotation", stops=True),
    "pixels for fractions": Kind("coordinates far above 1, where fractions of the image's sides belong", stops=True),
    "image twice": Kind("one image is listed twice, each time with annotations of its own", stops=True),
    "image id twice": Kind("two images have the same id: their annotations cannot be kept apart", stops=True),
    "no class name": Kind("an object or a class without a name", stops=True),
    "unknown label": Kind("an object of a class that is not in the list", stops=True),
    "label twice": Kind("two classes have the same name", stops=True),
    "class outside the list": Kind("a mask holds class ids that the list of classes does not have", stops=True),
    "missing mask": Kind("an image without its mask, or an object without one where masks are learnt", stops=True),
    "mask size": Kind("the mask's height and width are not the image's", stops=True),
    "class not in train": Kind("a class that only held-out splits have: it cannot be learnt", stops=True),
    # listed
    "wrong size": Kind("the annotation's width and height are not the image's; the image's count"),
    "EXIF rotation": Kind("the annotation's width and height are the image's before its EXIF rotation; boxes are kept"),
    "left out": Kind("not among the samples"),
    "degenerate box": Kind("a side is zero or negative; the object is left out"),
    "flat outline": Kind(
        "fewer than three different points, or no area; where masks are learnt, the object is left out"
    ),
    "beside the image": Kind("a box wholly outside of its image; the object is left out"),
    "some masks": Kind("objects with a box only, though others have a mask: their images are read without masks"),
    "only crowds": Kind("every object of the image is marked iscrowd or difficult: none is learnt"),
    "tiny box": Kind("a side is under a pixel"),
    "outside box": Kind("reaches out of the image by more than a pixel"),
    "duplicate box": Kind(f"two boxes of one label overlap by IoU {DUPLICATE_IOU} or more"),
    "label 0": Kind("a label called background: detectors have none, class 0 is an object"),
    "unknown image": Kind("annotations of an image that is not in the list"),
    "near-duplicate": Kind("almost the same image in two splits"),
    "empty label": Kind("a label without samples"),
    "no annotation": Kind("an image without a file of annotations: taken for one without objects"),
    "mapped": Kind("values that were read as something else, since nothing else fits"),
    "label without samples in train": Kind("a class of a held-out split that cannot be learnt, and never is found"),
    "same image": Kind("the same file in two classes or in two splits"),
    "labels alike": Kind("two labels differ in nothing but case or spaces"),
    "split without a class": Kind("a held-out split that has no sample of a class: it cannot be scored there"),
}


@dataclass(frozen=True)
class DataCheck:
    """What a person should know before training with a data set; it is clean without `findings`."""

    summary: str  # layout, counts and labels, in one line
    findings: tuple[str, ...]  # lines
    task: str = ""  # whose reader it was
    layout: str = ""
    found: tuple[Finding, ...] = ()  # what `findings` puts into words
    notes: tuple[str, ...] = ()  # the last of `findings`


def summary(findings: Iterable[Finding], *, names: int = MAX_NAMES) -> list[str]:
    """Lines: for each kind its count, its meaning and the first names; kinds that stop training come first."""
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    lines = []
    for kind in sorted(by_kind, key=lambda kind: not KINDS[kind].stops):
        found = by_kind[kind]
        lines.append(f"{kind}: {len(found)} ({KINDS[kind].meaning})")
        lines += [f"  {one.name}: {one.detail}" for one in found[:names]]
        if len(found) > names:
            lines.append(f"  … {len(found) - names} more")
    return lines
