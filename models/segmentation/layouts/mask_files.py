"""Files of class ids (`MaskFile`): grey, 1-bit, palette, 16-bit and coloured ones; what is in them (`scan`)."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from foveal.errors import BadData
from foveal.metrics.semantic import IGNORE
from foveal.models.segmentation.layouts.truth import Ids, UInt8Array

IntArray = npt.NDArray[np.int32]
FORMATS = ("PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP")
GREY, ONE_BIT, PALETTE, COLOUR = "grey", "1-bit", "palette", "colour"
MAX_SHOWN = 10
TOO_MANY = 16  # different values without a class: no slip of the pen, but blended edges


@dataclass(frozen=True)
class Scan:
    """What a mask file holds, without its pixels."""

    kind: str  # GREY, ONE_BIT, PALETTE or COLOUR
    image_hw: tuple[int, int]
    values: tuple[int, ...]  # that occur; of COLOUR: red * 65536 + green * 256 + blue
    palette: Mapping[int, int] = field(default_factory=dict)  # of PALETTE: value -> colour
    error: str | None = None


@dataclass(frozen=True)
class Encoding:
    """Which value of a mask is which class: an index into the list of classes, or IGNORE."""

    by_value: Mapping[int, int]
    by_colour: Mapping[int, int] = field(default_factory=dict)

    def of(self, scan: Scan) -> Mapping[int, int]:
        """Value -> class, for a file; values without one are not in it."""
        if scan.kind == PALETTE and self.by_colour:
            colours = {value: self.by_colour.get(scan.palette.get(value, -1)) for value in scan.values}
            if all(one is not None for one in colours.values()):
                return {value: one for value, one in colours.items() if one is not None}
        return self.by_colour if scan.kind == COLOUR else self.by_value


@dataclass(frozen=True)
class MaskFile(Ids):
    """The mask of one image."""

    path: Path | None  # None: missing
    encoding: Encoding
    scan: Scan | None = None
    expected: str = "expected a mask of the image's name, got none"

    def read(self) -> UInt8Array:
        """(H, W) ids."""
        for _, detail in self.faults():
            raise BadData(detail)
        assert self.path is not None
        _, values, _ = pixels_of(self.path)
        return self._ids(values)

    def _ids(self, values: IntArray) -> UInt8Array:
        assert self.scan is not None
        class_of = self.encoding.of(self.scan)
        known = np.array(sorted(self.scan.values), np.int32)
        ids = np.array([class_of[int(value)] for value in known], np.uint8)
        found: UInt8Array = ids[np.searchsorted(known, values)]
        return found

    def describe(self) -> str:
        """sha256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest() if self.path else "none"

    def size(self) -> tuple[int, int] | None:
        """As the file has it."""
        return self.scan.image_hw if self.scan and not self.scan.error else None

    def present(self) -> frozenset[int]:
        """Ids of the values that the scan has seen."""
        if self.scan is None or self.scan.error:
            return frozenset()
        class_of = self.encoding.of(self.scan)
        return frozenset(class_of[value] for value in self.scan.values if value in class_of) - {IGNORE}

    def faults(self) -> Iterable[tuple[str, str]]:
        """A missing file, one that cannot be read, values without a class."""
        if self.path is None or self.scan is None:
            yield "missing mask", self.expected
        elif self.scan.error is not None:
            yield "unreadable annotation", f"{self.path.name}: {self.scan.error}"
        else:
            class_of = self.encoding.of(self.scan)
            if unknown := [value for value in self.scan.values if value not in class_of]:
                yield "class outside the list", f"{self.path.name}: {_unknown(unknown, self.scan.kind, class_of)}"


def _unknown(values: list[int], kind: str, class_of: Mapping[int, int]) -> str:
    shown = [colour_name(value) if kind == COLOUR else str(value) for value in values[:MAX_SHOWN]]
    more = f", … {len(values) - MAX_SHOWN} more" if len(values) > MAX_SHOWN else ""
    blended = "; a mask that was resized smoothly or saved as JPEG?" if len(values) >= TOO_MANY else ""
    classes = sorted(value for value, one in class_of.items() if one != IGNORE)
    if kind == COLOUR:
        expected = f"expected one of {len(classes)} colours"
    elif classes == list(range(len(classes))):
        expected = f"expected ids below {len(classes)} (or {IGNORE})"
    else:
        expected = f"expected one of {', '.join(map(str, classes[:MAX_SHOWN]))} (or {IGNORE})"
    return f"{expected}, got {', '.join(shown)}{more}{blended}"


def colour_name(packed: int) -> str:
    """`#00ff40` for a colour in one number."""
    return f"#{packed:06x}"


def packed(red: int, green: int, blue: int) -> int:
    """A colour in one number, as `Scan.values` has it."""
    return red << 16 | green << 8 | blue


def scan(path: Path) -> Scan:
    """Read a file once; what is wrong with it is in `error`."""
    try:
        kind, values, palette = pixels_of(path)
    except BadData as error:
        return Scan(GREY, (0, 0), (), error=str(error))
    flat = values.ravel()
    # masks are areas: what a row of equal pixels holds is looked at once
    firsts = np.concatenate([flat[:1], flat[1:][flat[1:] != flat[:-1]]])
    seen = tuple(int(value) for value in np.unique(firsts))
    return Scan(kind, (values.shape[0], values.shape[1]), seen, {v: palette[v] for v in seen if v in palette})


def pixels_of(path: Path) -> tuple[str, IntArray, Mapping[int, int]]:
    """Kind, values (H, W) and palette of a mask file.

    Raises:
        BadData: no mask.
    """
    try:
        with Image.open(path, formats=FORMATS) as opened:
            opened.load()
            return _values_of(opened)
    except BadData:
        raise
    except Exception as error:  # Pillow raises many types on damaged files
        raise BadData(f"expected a mask in {', '.join(FORMATS)}: {error}") from None


def _values_of(image: Image.Image) -> tuple[str, IntArray, Mapping[int, int]]:
    mode = image.mode
    if mode in ("P", "PA"):
        colours = np.asarray(image.getpalette("RGB") or [], np.int64).reshape(-1, 3)
        palette = {i: packed(*map(int, colour)) for i, colour in enumerate(colours)}
        return PALETTE, np.asarray(image if mode == "P" else image.getchannel("P"), np.int32), palette
    if mode == "1":
        return ONE_BIT, np.asarray(image, np.int32), {}
    if mode == "L" or mode.startswith("I"):
        return GREY, np.asarray(image).astype(np.int32), {}
    if mode in ("RGB", "RGBA", "LA", "CMYK", "YCbCr"):
        return _colours(np.asarray(_opaque(image)))
    raise BadData(f"expected class ids or colours, got pixels of Pillow's mode {mode}")


def _opaque(image: Image.Image) -> Image.Image:
    """Without its alpha, which must be all or nothing: what is transparent is black, as an eraser leaves it."""
    if image.mode not in ("RGBA", "LA"):
        return image.convert("RGB")
    alpha = image.getchannel("A")
    if partly := [value for _, value in alpha.getcolors(256) or [] if value not in (0, 255)]:
        raise BadData(f"expected pixels that are opaque or transparent, got alpha {partly[:MAX_SHOWN]}")
    rgb = Image.new("RGB", image.size)
    rgb.paste(image.convert("RGB"), mask=alpha)
    return rgb


def _colours(rgb: UInt8Array) -> tuple[str, IntArray, Mapping[int, int]]:
    wide = rgb.astype(np.int32)
    return COLOUR, wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], {}
