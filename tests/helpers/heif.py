"""AVIF and HEIC files put together from items: grids, and files whose tables and streams disagree."""

import base64
import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"

# 96 x 64 pixels, drawn, and encoded by pillow-heif 1.4 (x265)
_HEIC = (
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<00042ZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=IV*mgE07O6l"
    "0RRC200001dH?|c00000003<O001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002iX>f9I0002DX>en20001Z"
    "Xm(>m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDD?$MQ18@KU0|1Z!00RI30{|YNFo6Y@>PacC"
    "ZUPz%2mk;B0LTCU0{{p>VgLaE2SfqEa<C#m0000JV{dG7ZewhC0096E00w{n000zeb8uw<00000003YB002M$000nhX?SS>000032nYxO000+h"
    "aBX1#00000000310R({p0|Wp70CjC-VRQfh0BI-zuNi=}p(r_<Kl{O|@c{XN%<m%a^(O0U<MCXVn7B39KhVYW|9&NYM)7Fm!}&fBuY62t?vNPR"
    "<9MEjT2?w$<r+W?N8`w<w(dmok(o4va;_{SKQIa^@<~0>w#clK=kXyG=z(V"
)


def box(kind: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I", 8 + len(inside)) + kind + inside


def full_box(kind: bytes, *content: bytes, version: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *content)


def content_of(data: bytes, kind: bytes) -> bytes:
    """What the first box of a kind holds, wherever it is."""
    at = data.index(kind)
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]


def size(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


@dataclass
class Item:
    """One item; `references`: from it."""

    kind: bytes
    data: bytes
    properties: Sequence[bytes] = ()
    references: Mapping[bytes, Sequence[int]] = field(default_factory=dict)
    repeats: int = 1  # extents that hold the data


def file_of(brand: bytes, items: Sequence[Item], *, more_items: bytes = b"") -> bytes:
    """A file of items numbered from 1, of which the first is the primary one; `more_items`: further `infe` boxes."""
    names = [full_box(b"infe", struct.pack(">HH4sB", i, 0, item.kind, 0), version=2) for i, item in enumerate(items, 1)]
    properties = [each for item in items for each in item.properties]
    owned, at = b"", 1
    for number, item in enumerate(items, 1):
        owned += struct.pack(">HB", number, len(item.properties))
        owned += b"".join(struct.pack(">H", at + i) for i in range(len(item.properties)))
        at += len(item.properties)
    references = b"".join(
        box(kind, struct.pack(f">HH{len(targets)}H", number, len(targets), *targets))
        for number, item in enumerate(items, 1)
        for kind, targets in item.references.items()
    )
    tables = [
        full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", struct.pack(">H", 1)),
        full_box(b"iinf", struct.pack(">H", len(items)), *names, more_items),
        box(b"iprp", box(b"ipco", *properties), box(b"ipma", struct.pack(">II", 1, len(items)), owned)),
    ]
    if references:
        tables.append(full_box(b"iref", references))
    head = box(b"ftyp", brand, bytes(4), b"mif1", brand, b"miaf")
    length = len(head) + sum(map(len, tables)) + len(_places(items, 0)) + 12 + 8
    meta = full_box(b"meta", *tables, _places(items, length))
    return head + meta + box(b"mdat", *(item.data for item in items))


def _places(items: Sequence[Item], at: int) -> bytes:
    entries = b""
    for number, item in enumerate(items, 1):
        entries += struct.pack(">HHH", number, 0, item.repeats)
        entries += struct.pack(">II", at, len(item.data)) * item.repeats
        at += len(item.data)
    return full_box(b"iloc", bytes([0x44, 0]), struct.pack(">H", len(items)), entries)


def grid(rows: int, columns: int, width: int, height: int, tiles: Sequence[int]) -> Item:
    head = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    return Item(b"grid", head, [size(width, height)], {b"dimg": tiles})


def av1(width: int, height: int, colour: int = 90) -> Item:
    """A drawn image, encoded by Pillow."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x % 256, y % 256, np.full_like(x, colour)], axis=2).astype(np.uint8)
    return av1_of(Image.fromarray(rgb))


def av1_of(image: Image.Image) -> Item:
    """An opaque image."""
    file = io.BytesIO()
    image.save(file, "AVIF", quality=80, speed=10, subsampling="4:4:4")
    data = file.getvalue()
    kept = [box(kind, content_of(data, kind)) for kind in (b"ispe", b"pixi", b"av1C", b"colr")]
    return Item(b"av01", content_of(data, b"mdat"), kept)


def hevc() -> Item:
    """An image of 96 x 64 pixels."""
    data = heic()
    kept = [box(kind, content_of(data, kind)) for kind in (b"ispe", b"hvcC", b"colr", b"pixi")]
    return Item(b"hvc1", content_of(data, b"mdat"), kept)


def heic() -> bytes:
    """The file."""
    return base64.b85decode("".join(_HEIC))
