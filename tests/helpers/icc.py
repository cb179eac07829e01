"""ICC profiles, written here: RGB by primaries, white point and transfer curve, and grey by its curve alone."""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

XY = tuple[float, float]
D50 = np.array([0.9642, 1.0, 0.8249])
D65_XY, D50_XY = (0.3127, 0.3290), (0.3457, 0.3585)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def _xyz(xy: XY) -> np.ndarray:
    return np.array([xy[0] / xy[1], 1.0, (1 - xy[0] - xy[1]) / xy[1]])


def to_d50(primaries: tuple[XY, XY, XY], white: XY) -> np.ndarray:
    """3 x 3 matrix: linear RGB -> XYZ relative to D50."""
    columns = np.stack([_xyz(xy) for xy in primaries], axis=1)
    matrix = columns * np.linalg.solve(columns, _xyz(white))
    adapted = (_BRADFORD @ D50) / (_BRADFORD @ _xyz(white))
    return np.linalg.inv(_BRADFORD) @ np.diag(adapted) @ _BRADFORD @ matrix


def srgb_curve(stored: np.ndarray) -> np.ndarray:
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def expected_srgb(
    rgb: np.ndarray, primaries: tuple[XY, XY, XY], white: XY, curve: Callable[..., np.ndarray]
) -> np.ndarray:
    """What colour management must give: uint8 -> uint8, by matrices in float64."""
    linear = curve(rgb / 255.0) @ to_d50(primaries, white).T @ np.linalg.inv(to_d50(SRGB_XY, D65_XY)).T
    linear = np.clip(linear, 0, 1)
    stored = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (stored * 255).round().astype(np.uint8)


def _s15(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _curve_tag(curve: Callable[..., np.ndarray]) -> bytes:
    table = (curve(np.linspace(0, 1, 1024)) * 65535).round().astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", 1024) + table.tobytes()


def profile(space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr") -> bytes:
    """A version 2 profile of the given tags."""
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"t\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"x\0",
    } | tags
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x02400000, kind, space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _s15(*D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def rgb_profile(
    primaries: tuple[XY, XY, XY],
    white: XY,
    curve: Callable[..., np.ndarray],
    more: Mapping[bytes, bytes] = MappingProxyType({}),
) -> bytes:
    matrix, tone = to_d50(primaries, white), _curve_tag(curve)
    tags = {b"wtpt": b"XYZ " + bytes(4) + _s15(*D50)}
    for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ")):
        tags[name] = b"XYZ " + bytes(4) + _s15(*matrix[:, i])
    return profile(b"RGB ", tags | {b"rTRC": tone, b"gTRC": tone, b"bTRC": tone, **more})


def grey_profile(curve: Callable[..., np.ndarray]) -> bytes:
    return profile(b"GRAY", {b"wtpt": b"XYZ " + bytes(4) + _s15(*D50), b"kTRC": _curve_tag(curve)})


SPACES: dict[str, tuple[tuple[XY, XY, XY], XY, Callable[..., np.ndarray]]] = {
    "sRGB": (SRGB_XY, D65_XY, srgb_curve),
    "Display P3": (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65_XY, srgb_curve),
    "Adobe RGB": (((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65_XY, lambda x: x**2.19921875),
    "ProPhoto": (((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), D50_XY, lambda x: x**1.8),
    "linear": (SRGB_XY, D65_XY, lambda x: x),
}
PROFILES = {name: rgb_profile(*space) for name, space in SPACES.items()} | {"grey": grey_profile(lambda x: x**1.0)}
