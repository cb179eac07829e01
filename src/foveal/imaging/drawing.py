"""Drawing on RGB images: boxes, translucent masks, class maps, labels; and encoding as PNG or JPEG.

Colour goes by class, the same in every image and on every machine. Labels never leave the image, and their text is
black or white, whichever reads better on the class' colour. OpenCV only. What is drawn of a result, its task says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from foveal.errors import ImageTooLarge, UnknownName
from foveal.imaging.masks import Bitmap

UInt8Array = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]  # RGB

MASK_OPACITY = 0.45
MAP_OPACITY = 0.55
ENCODERS: dict[str, tuple[str, list[int]]] = {  # media type -> OpenCV's extension and parameters
    "image/jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]),
    "image/png": (".png", []),
}
JPEG_MAX_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_STRIP = 256  # rows blended at a time: a whole float copy of a large image would be gigabytes
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_ANGLE = 0.61803398875  # of a turn: hues of neighbouring class ids lie far apart
_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)


def encode(rgb: UInt8Array, media_type: str) -> bytes:
    """RGB pixels as "image/png" or "image/jpeg".

    Raises:
        UnknownName: another media type. ImageTooLarge: a side that JPEG cannot hold.
    """
    if media_type not in ENCODERS:
        raise UnknownName.among("media type", media_type, ENCODERS)
    if media_type == "image/jpeg" and max(rgb.shape[:2]) > JPEG_MAX_SIDE:
        raise ImageTooLarge(
            f"image/jpeg: expected sides of at most {JPEG_MAX_SIDE} px, got {max(rgb.shape[:2])}; try PNG"
        )
    extension, parameters = ENCODERS[media_type]
    done, data = cv2.imencode(extension, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), parameters)
    assert done
    return bytes(data.tobytes())


def colour_of(class_id: int) -> Colour:
    """The colour of a class: hues a golden angle apart, every five classes at another brightness."""
    hue = (class_id * _GOLDEN_ANGLE + 0.55) % 1.0
    value = (255, 180, 215)[class_id // 5 % 3]
    pixel = np.array([[[round(hue * 255), 200, value]]], np.uint8)
    r, g, b = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB_FULL)[0, 0].tolist()
    return r, g, b


def text_colour_on(background: Colour) -> Colour:
    """Black or white, whichever has the higher contrast (relative luminance of WCAG 2.1) on the background."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(background) / 255]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return _BLACK if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else _WHITE


@dataclass(frozen=True)
class Pen:
    """Sizes that suit an image: about 1/45 of its side for text, within what people can read."""

    scale: float  # of the font
    thickness: int  # of strokes of text, in pixels
    line_px: int  # of boxes and contours
    padding_px: int  # around text

    @classmethod
    def of(cls, image_hw: tuple[int, int]) -> "Pen":
        """The pen for an image's size."""
        side = float(np.sqrt(image_hw[0] * image_hw[1]))
        scale = float(np.clip(side / 1000, 0.35, 3.0))
        return cls(scale, max(1, round(1.6 * scale)), max(1, round(side / 300)), max(2, round(5 * scale)))

    def size_px(self, text: str) -> tuple[int, int]:
        """(width, height) of a label with its padding."""
        (width, height), below = cv2.getTextSize(text, _FONT, self.scale, self.thickness)
        return width + 2 * self.padding_px, height + below + 2 * self.padding_px

    def fitting(self, text: str, width_px: int) -> str:
        """The text, cut short with two dots until it is at most `width_px` wide; possibly empty."""
        if self.size_px(text)[0] <= width_px:
            return text
        while text and self.size_px(text + "..")[0] > width_px:
            text = text[:-1]
        return text + ".." if text else ""


def draw_mask(drawn: UInt8Array, bitmap: Bitmap, colour: Colour, pen: Pen) -> None:
    """A translucent object with its outline, holes included."""
    height, width = bitmap.roi.shape
    if not bitmap.roi.any():
        return
    part = drawn[bitmap.top : bitmap.top + height, bitmap.left : bitmap.left + width]
    for top in range(0, height, _STRIP):
        strip = part[top : top + _STRIP]
        inside = bitmap.roi[top : top + _STRIP].astype(bool)
        strip[inside] = _blend(strip[inside], np.array(colour, np.float32), MASK_OPACITY)
    outlines, _ = cv2.findContours(bitmap.roi, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)  # holes have outlines too
    cv2.drawContours(drawn, outlines, -1, colour, max(1, pen.line_px // 2), offset=(bitmap.left, bitmap.top))


def draw_box(drawn: UInt8Array, box: npt.NDArray[np.float32], colour: Colour, pen: Pen) -> None:
    """The box' edges are lines between pixels; its frame is drawn on the pixels inside of them."""
    x1, y1 = np.floor(box[:2]).astype(int).tolist()
    x2, y2 = (np.ceil(box[2:]).astype(int) - 1).tolist()
    line = min(pen.line_px, max(1, (min(x2 - x1, y2 - y1) + 1) // 4))  # a small object stays visible in its frame
    for inset in range(line):
        cv2.rectangle(drawn, (x1 + inset, y1 + inset), (max(x1, x2 - inset), max(y1, y2 - inset)), colour, 1)


def draw_label(
    drawn: UInt8Array, text: str, box: npt.NDArray[np.float32], colour: Colour, pen: Pen, free: npt.NDArray[np.bool_]
) -> None:
    """On top of the box, else inside it, else below, wherever no other label lies yet; always inside the image.

    Without a free place it is left out: the frame's colour tells the class, and unreadable text tells nothing.
    """
    height, width = drawn.shape[:2]
    text = pen.fitting(text, width)
    label_width, label_height = pen.size_px(text)
    if not text or label_height > height:
        return
    x1, y1, _, y2 = (int(edge) for edge in box)
    left = min(max(x1, 0), width - label_width)
    for wanted in (y1 - label_height, y1, y2 - label_height, y2):
        top = min(max(wanted, 0), height - label_height)
        place = (slice(top, top + label_height), slice(left, left + label_width))
        if free[place].all():
            free[place] = False
            _write(drawn, text, (left, top), colour, pen)
            return


def _write(drawn: UInt8Array, text: str, left_top: tuple[int, int], background: Colour, pen: Pen) -> None:
    """Text on a filled plate whose top left corner is given."""
    left, top = left_top
    width, height = pen.size_px(text)
    cv2.rectangle(drawn, (left, top), (left + width - 1, top + height - 1), background, cv2.FILLED)
    (_, text_height), _ = cv2.getTextSize(text, _FONT, pen.scale, pen.thickness)
    at = (left + pen.padding_px, top + pen.padding_px + text_height)
    cv2.putText(drawn, text, at, _FONT, pen.scale, text_colour_on(background), pen.thickness, cv2.LINE_AA)


def draw_class_map(drawn: UInt8Array, class_map: UInt8Array, classes: int) -> None:
    """A class map (H, W) laid over the image, every class in its colour."""
    palette = np.array([colour_of(i) for i in range(classes)], np.uint8)
    for top in range(0, len(drawn), _STRIP):
        strip = slice(top, top + _STRIP)
        drawn[strip] = _blend(drawn[strip], palette[class_map[strip]].astype(np.float32), MAP_OPACITY)


def draw_lines(drawn: UInt8Array, lines: Sequence[str], colours: Sequence[Colour]) -> None:
    """Plates of equal width at the top left; lines that do not fit below are left out."""
    height, width = drawn.shape[:2]
    pen = Pen.of((height, width))
    texts = [pen.fitting(line, width) for line in lines]
    plate = max((pen.size_px(text)[0] for text in texts), default=0)
    line_height = max((pen.size_px(text)[1] for text in texts), default=0)
    for i, (text, colour) in enumerate(zip(texts, colours, strict=True)):
        top = i * line_height
        if not text or top + line_height > height:
            return
        cv2.rectangle(drawn, (0, top), (plate - 1, top + line_height - 1), colour, cv2.FILLED)
        _write(drawn, text, (0, top), colour, pen)


def _blend(pixels: UInt8Array, colour: npt.NDArray[np.float32], opacity: float) -> UInt8Array:
    mixed: UInt8Array = (pixels * np.float32(1 - opacity) + colour * np.float32(opacity)).astype(np.uint8)
    return mixed
