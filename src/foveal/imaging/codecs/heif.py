"""HEIC: photos of phones, decoded by pi-heif (libheif), which comes with the extra `heif`."""

import importlib.util
import io
from dataclasses import dataclass
from typing import Any, ClassVar

from foveal.errors import BadImage, UnsupportedImage
from foveal.imaging.codecs import pillow
from foveal.imaging.codecs.encoded import EncodedImage, SizeHW, UInt8Array

_ADVICE = "install it (pip install 'foveal[heif]'), or send a JPEG (iPhone: Settings, Camera, Most Compatible)"


@dataclass(frozen=True)
class Heic(EncodedImage):
    """The primary image of a HEIC.

    Its rotation and mirroring are properties of the file, which the decoder applies; its EXIF orientation repeats them
    and is ignored, as the standard says. So `orientation` is always 1.
    """

    format: ClassVar[str] = "HEIC"

    @property
    def pixel_bytes(self) -> float:
        """See EncodedImage."""
        return 20.0

    def pixels(self, target_hw: SizeHW | None) -> UInt8Array:
        """See EncodedImage."""
        image = _open(self.data)
        try:
            opened = image.to_pillow()
        except Exception as error:  # libheif's wrapper raises several types
            raise BadImage(f"this HEIC file is truncated or corrupt: {error}") from None
        return pillow.rgb_of(opened, self.profile, "HEIC")


def read(data: bytes) -> Heic:
    """Header of a HEIC.

    Raises:
        UnsupportedImage: the extra `heif` is not installed. BadImage: damaged.
    """
    if importlib.util.find_spec("pi_heif") is None:
        raise UnsupportedImage(f"this is HEIC, and its decoder is not installed: {_ADVICE}")
    image = _open(data)
    return Heic(data, image.size[::-1], profile=image.info.get("icc_profile") or b"")


def _open(data: bytes) -> Any:
    import pi_heif

    try:
        file = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        return file[file.primary_index]
    except Exception as error:  # see Heic.pixels
        raise BadImage(f"the header of this HEIC file is damaged: {error}") from None
