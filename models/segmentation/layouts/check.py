"""Checks of semantic segmentation: masks that are missing, of another size, with unknown values, or of one class."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from foveal.errors import BadData, BadImage
from foveal.imaging.decode import Header, read_header
from foveal.models.data.dataset import Sample
from foveal.models.reading.findings import KINDS, Finding
from foveal.models.reading.reader import Reading
from foveal.models.segmentation.layouts.truth import LabelMap
from foveal.models.segmentation.recipe import SegmentationRecipe

TURNED = 5  # EXIF orientations from here on change height and width


def examine(reading: Reading[LabelMap], _: SegmentationRecipe) -> list[Finding]:
    """Findings of every image and mask, and of all masks together."""
    with ThreadPoolExecutor() as pool:
        headers = list(pool.map(_header, reading.samples))
    findings: list[Finding] = []
    present: set[int] = set()
    for sample, header in zip(reading.samples, headers, strict=True):
        found = [*_of_sample(sample, header)]
        findings += found
        if not any(KINDS[one.kind].stops for one in found):
            present |= sample.truth.present()
    if len(present) == 1 and not any(KINDS[one.kind].stops for one in findings):
        only = reading.labels[present.pop()]
        findings.append(Finding("nothing to learn", "-", f"every pixel that counts is of class {only!r}"))
    return findings


def _header(sample: Sample[LabelMap]) -> Header | str:
    """Of the image, or why it has none."""
    try:
        return read_header(sample.path.read_bytes())
    except (BadImage, OSError) as error:
        return str(error)


def _of_sample(sample: Sample[LabelMap], header: Header | str) -> Iterator[Finding]:
    if isinstance(header, str):
        yield Finding("unreadable image", sample.name, header)
    ids = sample.truth.ids
    try:
        faults = list(ids.faults())
    except BadData as error:
        faults = [("unreadable annotation", str(error))]
    for kind, detail in faults:
        yield Finding(kind, sample.name, detail)
    size = ids.size()
    if isinstance(header, str) or size is None or size == header.image_hw:
        return
    detail = f"expected a mask of {header.image_hw} (height, width), got {size}"
    if size == header.image_hw[::-1] and header.exif_orientation >= TURNED:
        detail += (
            f": the image is turned by its EXIF orientation {header.exif_orientation} and the mask is not; "
            "turn the mask, or store the image upright"
        )
    yield Finding("mask size", sample.name, detail)
