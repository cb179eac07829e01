"""Slices of a data set (`slices_of`): images that are alike in brightness, blur, shape or a column of a table."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt

from foveal.errors import BadData
from foveal.imaging.sources import load
from foveal.models.data.dataset import Sample
from foveal.progress import track
from foveal.text_files import read_text

THIRDS = ("lowest third", "middle third", "highest third")
SIDE_PX = 512  # at which sharpness is measured, so that the camera's pixels do not count
MOST_VALUES = 10  # of a column of numbers, beyond which it is cut into thirds
MOST_SLICES = 30  # of a column of words; a column of names is no slice
LEAST_IMAGES = 5


@dataclass(frozen=True)
class Slice:
    """Images that have something in common."""

    kind: str
    name: str
    images: npt.NDArray[np.int64]  # (K,) indices


def slices_of(samples: Sequence[Sample[object]], table: Path | None = None) -> list[Slice]:
    """Thirds by brightness, sharpness and aspect ratio, and the values of a table's columns.

    Args:
        samples: the images.
        table: CSV with a column `name` (or file_name, image, file): a sample's name, file name or stem.

    Raises:
        BadData: the table has no such column, or none of the images.
    """
    found = []
    for kind, values in _measured(samples).items():
        found += _thirds(kind, values)
    if table is not None:
        for kind, words in _columns(table, samples).items():
            found += _by_value(kind, words)
    return [each for each in found if LEAST_IMAGES <= len(each.images) < len(samples)]


def _measured(samples: Sequence[Sample[object]]) -> dict[str, npt.NDArray[np.float64]]:
    """Name -> one number an image: mean luma in 0..255, logarithm of the Laplacian's variance, width / height."""
    rows = []
    for sample in track(samples, total=len(samples), what="brightness"):
        rgb = load(sample.path).rgb
        height, width = rgb.shape[:2]
        scale = min(1.0, SIDE_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        rows.append((grey.mean(), np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var()), width / height))
    brightness, sharpness, aspect = np.array(rows, np.float64).T
    return {"brightness": brightness, "sharpness": sharpness, "width / height": aspect}


def _thirds(kind: str, values: npt.NDArray[np.float64]) -> list[Slice]:
    """Three slices of about equal size; none where the values are mostly one."""
    low, high = np.quantile(values, (1 / 3, 2 / 3))
    parts = (values <= low, (values > low) & (values <= high), values > high)
    if not all(part.any() for part in parts):
        return []
    ranges = [f"{values[part].min():.3g} to {values[part].max():.3g}" for part in parts]
    return [
        Slice(kind, f"{name} ({between})", np.flatnonzero(part))
        for name, between, part in zip(THIRDS, ranges, parts, strict=True)
    ]


def _columns(table: Path, samples: Sequence[Sample[object]]) -> dict[str, list[str]]:
    """Column -> its value for each sample, "" where the table has none."""
    try:
        rows = list(csv.DictReader(read_text(table).splitlines()))
    except csv.Error as error:
        raise BadData(f"{table.name}: expected CSV: {error}") from None
    header = list(rows[0]) if rows else []
    key = next((name for name in header if name.strip().lower() in ("name", "file_name", "image", "file")), None)
    if key is None:
        raise BadData(
            f"{table.name}: expected rows with a column name (or file_name), got {', '.join(header) or 'none'}"
        )
    by_key: dict[str, Mapping[str, str]] = {}
    for row in rows:
        name = PurePosixPath((row[key] or "").strip().replace("\\", "/"))
        for form in (name.stem, name.name, str(name)):
            by_key[form] = row
    own = []
    for sample in samples:
        path = PurePosixPath(sample.name)
        own.append(by_key.get(str(path)) or by_key.get(path.name) or by_key.get(path.stem) or {})
    if not any(own):
        raise BadData(f"{table.name}: has none of the images, {samples[0].name} for one")
    return {name: [(row.get(name) or "").strip() for row in own] for name in header if name and name != key}


def _by_value(kind: str, words: Sequence[str]) -> list[Slice]:
    """One slice a value, or thirds where they are many numbers."""
    values = sorted(set(words) - {""})
    if len(values) > MOST_VALUES:
        try:
            numbers = np.array([float(word) if word else np.nan for word in words])
        except ValueError:
            if len(values) > MOST_SLICES:
                return []
        else:
            known = np.flatnonzero(np.isfinite(numbers))
            return [Slice(each.kind, each.name, known[each.images]) for each in _thirds(kind, numbers[known])]
    array = np.array(words)
    return [Slice(kind, value, np.flatnonzero(array == value)) for value in values]
