"""Pascal VOC: Annotations/*.xml, JPEGImages/, and ImageSets/Main/{train,val,test}.txt where there are any.

Everingham et al., "The Pascal Visual Object Classes Challenge", IJCV 2010. The numbers are taken as edges, as written:
the tools that write this format today do not agree on VOC's original 1-based inclusive pixels, and half a pixel of a
drawn rectangle is below its own error.
"""

import xml.etree.ElementTree as ET
from pathlib import Path

from foveal.errors import BadData
from foveal.metrics.truth import ObjectTruth
from foveal.models.data.dataset import SPLITS, Sample, listed
from foveal.models.detection.layouts.truth import objects
from foveal.models.detection.recipe import DetectionRecipe
from foveal.models.reading.data_folder import DataFolder
from foveal.models.reading.reader import Reading


def find_voc(root: Path) -> Path | None:
    """The folder that holds Annotations/*.xml: the root or one below it."""
    candidates = [root, *sorted(p for p in root.iterdir() if p.is_dir())]
    return next((p for p in candidates if any((p / "Annotations").glob("*.xml"))), None)


def read_voc(folder: DataFolder, _: DetectionRecipe) -> Reading[ObjectTruth] | None:
    """Read the layout, or None when it is another one.

    Labels are in alphabetical order, since VOC has no list of them.

    Raises:
        BadData: a file that is no annotation, or lists that name images without one.
    """
    root = folder.base
    voc = find_voc(root)
    if voc is None:
        return None
    parsed = {path.stem: _Document(path) for path in sorted((voc / "Annotations").glob("*.xml"))}
    labels = tuple(sorted({name for document in parsed.values() for name in document.names}))
    images = {p.stem: p for p in sorted((voc / "JPEGImages").iterdir()) if p.is_file()}
    if missing := sorted(parsed.keys() - images.keys()):
        raise BadData(f"{voc / 'JPEGImages'}: expected an image for every annotation, got none for {listed(missing)}")
    samples = tuple(
        Sample(images[stem].relative_to(root).as_posix(), images[stem], document.truth(labels))
        for stem, document in parsed.items()
    )
    name_of = {sample.path.stem: sample.name for sample in samples}
    return Reading("Pascal VOC", labels, samples, _split_lists(voc, name_of))


class _Document:
    """One annotation file."""

    def __init__(self, path: Path) -> None:
        try:
            root = ET.parse(path).getroot()  # noqa: S314 - expat refuses the entities that would be dangerous
            self.image_hw = (int(root.findtext("size/height", "0")), int(root.findtext("size/width", "0")))
            found = root.findall("object")
            self.names = [str(item.findtext("name")).strip() for item in found]
            edges = ("xmin", "ymin", "xmax", "ymax")
            self.boxes = [[float(str(item.findtext(f"bndbox/{edge}"))) for edge in edges] for item in found]
            self.difficult = [item.findtext("difficult", "0").strip() == "1" for item in found]
        except (ET.ParseError, ValueError, OSError) as error:
            raise BadData(f"{path}: expected a Pascal VOC annotation: {error}") from None

    def truth(self, labels: tuple[str, ...]) -> ObjectTruth:
        """The objects, by index into all labels."""
        class_ids = [labels.index(name) for name in self.names]
        return objects(self.boxes, class_ids, self.image_hw, iscrowd=self.difficult)


def _split_lists(voc: Path, name_of: dict[str, str]) -> dict[str, str]:
    """ImageSets/Main: one stem a line. trainval is not needed: val picks the checkpoint."""
    split_of: dict[str, str] = {}
    for split in SPLITS:
        path = voc / "ImageSets" / "Main" / f"{split}.txt"
        if not path.exists():
            continue
        stems = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
        if unknown := [stem for stem in stems if stem not in name_of]:
            raise BadData(f"{path}: images without an annotation: {listed(unknown)}")
        if twice := [stem for stem in stems if name_of[stem] in split_of]:
            raise BadData(f"{path}: images that are in another split too: {listed(twice)}")
        split_of |= {name_of[stem]: split for stem in stems}
    return split_of
