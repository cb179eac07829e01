"""AV1 (in AVIF): the size of the frames that an item holds (`frames`), from its headers.

The container's stated size binds no decoder: the stream's own does, and it may hold many frames. Standard: AV1
Bitstream & Decoding Process Specification, sections 5.3 (OBUs), 5.5 (sequence header), 5.9 (frame header).
"""

from collections.abc import Iterator
from typing import NamedTuple

from foveal.errors import BadImage, UnsupportedImage
from foveal.imaging.codecs.encoded import Bits, SizeHW, at_most

MAX_UNITS = 16_384  # OBUs of a file: of 1,000 items with three each, or of a frame's tiles with one each
MAX_FRAMES = 4  # layers of a progressive image

_SEQUENCE, _FRAME_HEADER, _FRAME, _TILE_LIST = 1, 3, 6, 8
_SELECT = 2  # SELECT_SCREEN_CONTENT_TOOLS, SELECT_INTEGER_MV
_KEY, _SWITCH = 0, 3  # types of frames


class _Sequence(NamedTuple):
    image_hw: SizeHW
    reduced: bool  # of a still image: its frame has the sequence's size
    time_bits: int  # of a frame's presentation time; 0: frames state none
    screen_content: int
    integer_mv: int
    frame_id_bits: int


def frames(item: bytes, units: Iterator[int]) -> tuple[SizeHW, int]:
    """Size and number of the frames of an item; `units` numbers those of all items of a file.

    Raises:
        BadImage: damaged, or too many. UnsupportedImage: frames of another size than their sequence's.
    """
    sequence, count, at = None, 0, 0
    while at < len(item):
        kind, start, at = _unit(item, at)
        at_most(next(units), MAX_UNITS, "units of AV1")
        if kind == _SEQUENCE:
            found = _sequence(Bits(item[start : min(at, start + 512)]))
            if sequence not in (None, found):
                raise UnsupportedImage("AVIF with two different AV1 sequences is not supported")
            sequence = found
        elif kind in (_FRAME_HEADER, _FRAME):
            if sequence is None:
                raise BadImage("this AVIF file is corrupt: an AV1 frame before its sequence header")
            count += 1
            at_most(count, MAX_FRAMES, "AV1 frames of one image")
            if not sequence.reduced and _another_size(Bits(item[start : start + 64]), sequence):
                raise UnsupportedImage("AVIF with AV1 frames of another size than their sequence is not supported")
        elif kind == _TILE_LIST:
            raise UnsupportedImage("AVIF with AV1 tile lists is not supported")
    if sequence is None or not count:
        raise BadImage("this AVIF file is truncated or corrupt: expected an AV1 sequence header and a frame")
    return sequence.image_hw, count


def _unit(item: bytes, at: int) -> tuple[int, int, int]:
    """Type of the OBU at a place, and where its content starts and ends."""
    head = item[at]
    at += 2 if head & 4 else 1  # with an extension
    size, shift = len(item) - at, 0
    if head & 2:
        size = 0
        while True:  # leb128
            if at >= len(item) or shift > 49:
                raise BadImage("this AVIF file is truncated or corrupt: the size of an AV1 unit is cut")
            byte, at = item[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
    if at + size > len(item):
        raise BadImage("this AVIF file is truncated or corrupt: an AV1 unit is cut")
    return head >> 3 & 15, at, at + size


def _sequence(bits: Bits) -> _Sequence:
    bits.read(4)  # profile, still image
    reduced = bool(bits.read(1))
    time_bits = 0
    if reduced:
        bits.read(5)  # level
    else:
        time_bits = _timing(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    width, height = bits.read(width_bits) + 1, bits.read(height_bits) + 1
    if reduced:
        return _Sequence((height, width), reduced, time_bits, _SELECT, _SELECT, 0)
    frame_id_bits = 0
    if bits.read(1):
        delta = bits.read(4) + 2
        frame_id_bits = delta + bits.read(3) + 1
    bits.read(7)  # 128 x 128 blocks, filter intra, intra edges, interintra, masked, warped motion, dual filter
    if bits.read(1):  # order hints
        bits.read(2)
    screen_content = _SELECT if bits.read(1) else bits.read(1)
    integer_mv = _SELECT
    if screen_content and not bits.read(1):
        integer_mv = bits.read(1)
    return _Sequence((height, width), reduced, time_bits, screen_content, integer_mv, frame_id_bits)


def _timing(bits: Bits) -> int:
    """Pass over timing and operating points; bits of a frame's presentation time."""
    delay_bits = time_bits = 0
    decoder_model = False
    if bits.read(1):  # timing
        bits.read(64)
        equal = bits.read(1)
        if equal:
            bits.exp_golomb()
        if decoder_model := bool(bits.read(1)):
            delay_bits = bits.read(5) + 1
            bits.read(37)
            time_bits = 0 if equal else bits.read(5) + 1
            if equal:
                bits.read(5)
    display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:  # level
            bits.read(1)
        if decoder_model and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if display_delay and bits.read(1):
            bits.read(4)
    return time_bits


def _another_size(bits: Bits, sequence: _Sequence) -> bool:
    """Whether a frame header overrides the size of its sequence, or shows a frame once more."""
    if bits.read(1):  # shows an existing frame
        return True
    kind, shown = bits.read(2), bits.read(1)
    if shown:
        bits.read(sequence.time_bits)
    else:
        bits.read(1)  # may be shown later
    if kind == _SWITCH:
        return True
    if not (kind == _KEY and shown):
        bits.read(1)  # error resilience
    bits.read(1)  # updates of the CDF
    screen_content = bits.read(1) if sequence.screen_content == _SELECT else sequence.screen_content
    if screen_content and sequence.integer_mv == _SELECT:
        bits.read(1)
    bits.read(sequence.frame_id_bits)
    return bool(bits.read(1))
