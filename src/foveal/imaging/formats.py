"""Image formats by their first bytes: which codec reads a file (`read`), and the names of those that none reads."""

from collections.abc import Callable

from foveal.errors import BadImage, ImageTooLarge, UnsupportedImage
from foveal.imaging.codecs import heif, jpeg, pillow, png, tiff, webp
from foveal.imaging.codecs.encoded import EncodedImage

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIC")
MAX_BYTES = 64 * 1000 * 1000
MAX_PIXELS = 64 * 1000 * 1000
MAX_SIDE = 200_000  # decoders take time and memory for each row

_READERS: dict[str, Callable[[bytes], EncodedImage]] = {
    "JPEG": jpeg.read,
    "PNG": png.read,
    "WEBP": webp.read,
    "BMP": pillow.read_bmp,
    "TIFF": tiff.read,
    "GIF": pillow.read_gif,
    "AVIF": heif.read_avif,
    "HEIC": heif.read_heic,
}
_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_RAW = "a camera's raw file"
_UNREAD = {  # first bytes of well-known formats that are not read
    b"IIU\0": f"{_RAW} (Panasonic RW2)",
    b"IIRO": f"{_RAW} (Olympus ORF)",
    b"IIRS": f"{_RAW} (Olympus ORF)",
    b"MMOR": f"{_RAW} (Olympus ORF)",
    b"FUJIFILMCCD-RAW": f"{_RAW} (Fujifilm RAF)",
    b"FOVb": f"{_RAW} (Sigma X3F)",
    b"\0MRM": f"{_RAW} (Minolta MRW)",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"\0\0\1\0": "ICO",
    b"II\xbc\x01": "JPEG XR",
}
_RAW_BEHIND = {b"CR\2\0": f"{_RAW} (Canon CR2)", b"IIII": f"{_RAW} (Phase One IIQ)", b"HEAPCCDR": f"{_RAW} (Canon CRW)"}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC",
           b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"heif": "HEIC"}  # fmt: skip


def read(data: bytes, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> EncodedImage:
    """Read the header of a file of any of FORMATS.

    Raises:
        UnsupportedImage: none of them, or a variant that is not read. BadImage: empty, truncated or corrupt.
        ImageTooLarge: over a limit.
    """
    if len(data) > max_bytes:
        raise ImageTooLarge(f"expected at most {max_bytes} bytes, got {len(data)}")
    if not data:
        raise BadImage("expected the bytes of an image, got 0 bytes")
    image = _READERS[_format_of(data)](data)
    check_size(image.stored_hw, max_pixels)
    if image.tile_pixels > max_pixels:
        raise ImageTooLarge(f"expected tiles of at most {max_pixels} pixels, got {image.tile_pixels}")
    return image


def check_size(image_hw: tuple[int, int], max_pixels: int) -> None:
    """Refuse an image of more pixels than allowed."""
    height, width = image_hw
    if width * height > max_pixels:
        raise ImageTooLarge(f"expected at most {max_pixels} pixels, got {width} x {height} = {width * height}")
    if max(image_hw) > MAX_SIDE:
        raise ImageTooLarge(f"expected sides of at most {MAX_SIDE} pixels, got {width} x {height}")


def _format_of(data: bytes) -> str:
    """The format that the first bytes promise: tells a damaged image (422) from no image at all (415)."""
    unread = next((name for start, name in _UNREAD.items() if data.startswith(start)), None)
    unread = unread or _RAW_BEHIND.get(data[8:12]) or _RAW_BEHIND.get(data[6:14])
    if data[4:8] == b"ftyp":
        if brand := _brand(data):
            return brand
        unread = f"{_RAW} (Canon CR3)" if data[8:12] == b"crx " else None
    if not unread:
        for start, name in _STARTS.items():
            if data.startswith(start):
                return name
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return "WEBP"
    known = f"this is {unread}, which is not supported" if unread else f"the bytes start with {data[:8]!r}"
    raise UnsupportedImage(f"expected one of {', '.join(FORMATS)}; {known}")


def _brand(data: bytes) -> str | None:
    """AVIF or HEIC by the brands of an ISO file, the major one first; both may say mif1, so that one counts last."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    known = [brand for brand in brands if brand in _BRANDS]
    generic = (b"mif1", b"msf1", b"heif")
    return next((_BRANDS[brand] for brand in sorted(known, key=lambda brand: brand in generic)), None)
