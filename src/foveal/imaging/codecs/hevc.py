"""HEVC (in HEIC): the size of the image that an item holds (`image_size`), from its parameter sets.

The container's stated size binds no decoder: the stream's own does, and it may hold many images. Standards: ITU-T
H.265, sections 7.3.1 (NAL units), 7.3.2.2 (sequence parameter set); ISO/IEC 14496-15, 8.3.3 (the box hvcC).
"""

from collections.abc import Iterator
from itertools import chain

from foveal.errors import BadImage
from foveal.imaging.codecs.encoded import Bits, SizeHW, at_most

MAX_UNITS = 16_384  # NAL units of a file: of 1,000 items with three parameter sets and a few slices each

_SEQUENCE, _FIRST_PARAMETERS = 33, 32  # NAL unit types; below the latter are slices
_SEQUENCE_BYTES = 256  # of a parameter set that are looked at


def image_size(item: bytes, configuration: bytes, units: Iterator[int]) -> SizeHW:
    """Size of the one image of an item; the larger one where parameter sets differ.

    Args:
        item: its NAL units, each behind its length.
        configuration: the content of the box hvcC.
        units: numbers the units of all items of a file.

    Raises:
        BadImage: damaged, or more than one image.
    """
    sizes, images = [], 0
    length_bytes = (configuration[21] & 3) + 1
    for unit in chain(_configured(configuration), _units(item, length_bytes)):
        kind = unit[0] >> 1 & 0x3F
        at_most(next(units), MAX_UNITS, "units of HEVC")
        if kind == _SEQUENCE:
            sizes.append(_size(Bits(unit[2:].replace(b"\0\0\3", b"\0\0"))))
        elif kind < _FIRST_PARAMETERS:
            images += unit[2] >> 7  # the first slice of one
            at_most(images, 1, "HEVC image in one item")
    if not sizes or not images:
        raise BadImage("this HEIC file is truncated or corrupt: expected a sequence parameter set and an image")
    return max(height for height, _ in sizes), max(width for _, width in sizes)


def _configured(configuration: bytes) -> Iterator[bytes]:
    at = 23
    for _ in range(configuration[22]):
        count, at = int.from_bytes(configuration[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            length = int.from_bytes(configuration[at : at + 2], "big")
            if length < 3 or at + 2 + length > len(configuration):
                raise BadImage("the header of this HEIC file is damaged: its decoder configuration is cut")
            yield configuration[at + 2 : at + 2 + min(length, _SEQUENCE_BYTES)]
            at += 2 + length


def _units(item: bytes, length_bytes: int) -> Iterator[bytes]:
    at = 0
    while at < len(item):
        length = int.from_bytes(item[at : at + length_bytes], "big")
        at += length_bytes
        if length < 3 or at + length > len(item):
            raise BadImage("this HEIC file is truncated or corrupt: a unit of HEVC is cut")
        yield item[at : at + min(length, _SEQUENCE_BYTES)]
        at += length


def _size(bits: Bits) -> SizeHW:
    bits.read(4)  # video parameter set
    layers = bits.read(3)
    bits.read(1 + 96)  # nesting; profile, tier and level
    stated = [(bits.read(1), bits.read(1)) for _ in range(8 if layers else 0)]
    for profile, level in stated[:layers]:
        bits.read(88 * profile + 8 * level)
    bits.exp_golomb()  # number
    if bits.exp_golomb() == 3:  # chroma format 4:4:4
        bits.read(1)
    width, height = bits.exp_golomb(), bits.exp_golomb()
    return height, width
