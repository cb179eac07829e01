"""Graph proof (`prove_graph`): a compiled graph against the foreign file as it is, fed and read by plain NumPy."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.cancellation import checkpoint
from foveal.errors import BadModelFile, ImportMismatch
from foveal.export.importing.compiling import Probed, fed
from foveal.export.importing.families.head import Array, Head
from foveal.export.importing.foreign import Foreign
from foveal.export.importing.reading import Reading
from foveal.inference.session import Session
from foveal.packages.manifest import Parity

LIMITS = {
    "boxes": 0.02,
    "scores": 1e-4,
    "logits": 1e-3,
    "coefficients": 1e-2,
    "prototypes": 1e-2,
}  # absolute; of float16 and quantised graphs too
OBJECTS = ("boxes", "scores", "class_ids")
RANDOM = 1e-2  # relative difference of two runs beyond which a file draws numbers
TIES = 1e-3  # share of rows or pixels whose class may differ, where two are as good to the last bit

CRITERION = (
    f"boxes within {LIMITS['boxes']} px, scores within {LIMITS['scores']:g}, logits within {LIMITS['logits']:g} of "
    f"their size, at most {TIES:.1%} of objects or pixels different (ties)"
)


def prove_graph(
    foreign: Foreign,
    original: Session,
    graph: Session,
    head: Head,
    reading: Reading,
    kept: Sequence[int],
    probed: Probed,
    images: Mapping[str, npt.NDArray[np.uint8]],
) -> Parity:
    """Run both on probes in batches of 1, 2 and the largest.

    Args:
        foreign: the file.
        original: its session.
        graph: the compiled graph's session.
        head: what the outputs are.
        reading: how the file is read.
        kept: class columns that have a label.
        probed: which batches it takes.
        images: name -> (H, W, 3) uint8 model inputs.

    Raises:
        ImportMismatch: they differ; says where and by how much. BadModelFile: the file answers NaN, or at random.
    """
    sizes = tuple(sorted({1, min(2, probed.max_batch), probed.max_batch}))
    names = [node.name for node in graph.get_outputs()]
    inputs, labels = np.stack(list(images.values())), list(images)
    worst: dict[str, float] = {}

    def own(feed: Array) -> list[Array]:
        raw = foreign.run(original, feed)
        return raw if probed.copies == 1 else [array[: len(array) // probed.copies] for array in raw]

    for size in sizes:
        for start in range(0, len(inputs), size):
            checkpoint()
            chosen = [(start + k) % len(inputs) for k in range(size)]
            feed = fed(foreign, reading, inputs[chosen])
            expected = head.answer(own(feed), reading, kept)
            if size == 1:
                _check_own(foreign, expected, head.answer(own(feed), reading, kept), labels[start])
            got = dict(zip(names, graph.run(names, {"images": inputs[chosen]}), strict=True))
            where = f"{foreign.name}, a batch of {size}, {', '.join(labels[i] for i in chosen[:2])}"
            _compare(expected, got, where, worst)
    runtime = f"ONNX Runtime {version_of('onnxruntime', 'onnxruntime-gpu')}"
    return Parity(
        reference=f"{foreign.name} as it is ({runtime}), fed and read by plain NumPy",
        images=len(inputs),
        batch_sizes=sizes,
        criterion=CRITERION,
        measured={name: round(value, 9) for name, value in worst.items()},
    )


def _check_own(foreign: Foreign, first: Mapping[str, Array], again: Mapping[str, Array], image: str) -> None:
    """Refuse a file whose own answers no package could give.

    Raises:
        BadModelFile: they are no numbers, or differ from run to run.
    """
    for name, array in first.items():
        if array.dtype.kind != "f":
            continue
        if not np.isfinite(array).all():
            raise BadModelFile(
                f"{foreign.name}: expected numbers, the file itself answers {image} with NaN or infinity"
            )
        most = max(1.0, float(np.abs(array).max(initial=0.0)))
        if array.shape != again[name].shape or np.abs(array - again[name]).max(initial=0.0) > RANDOM * most:
            raise BadModelFile(f"{foreign.name}: expected one answer to {image}, the file gives another each time")


def version_of(*names: str) -> str:
    """Of the first distribution that is installed."""
    for name in names:
        try:
            return version(name)
        except ImportError:
            continue
    return "of unknown version"


def _compare(expected: Mapping[str, Array], got: Mapping[str, Any], where: str, worst: dict[str, float]) -> None:
    """Keep the largest differences; refuse those beyond the limits."""
    for name, want in expected.items():
        have = got[name]
        if want.shape != have.shape or want.dtype != have.dtype:
            shapes = f"{want.shape} {want.dtype}, got {have.shape} {have.dtype}"
            raise ImportMismatch(f"{where}: {name}: expected {shapes}")
    if "class_ids" in expected:
        _compare_objects(expected, got, where, worst)
    for name, want in expected.items():
        if name in ("confidence", *OBJECTS):  # confidence follows the class map to one in 255
            continue
        have = got[name]
        if want.dtype.kind in "iu":
            _keep(worst, f"{name}_differ", float((want != have).mean()), TIES, where)
            continue
        gap = np.abs(want.astype(np.float64) - have) / max(1.0, float(np.abs(want).max(initial=0.0)))
        _keep(worst, f"{name}_max_abs", float(gap.max(initial=0.0)), LIMITS[name], where)


def _compare_objects(
    expected: Mapping[str, Array], got: Mapping[str, Any], where: str, worst: dict[str, float]
) -> None:
    """Row by row; rows that differ may have changed places, since a selection in the graph orders ties by chance."""
    gaps = {
        "boxes": np.abs(expected["boxes"].astype(np.float64) - got["boxes"]).max(axis=2, initial=0.0),
        "scores": np.abs(expected["scores"].astype(np.float64) - got["scores"]),
    }
    same = expected["class_ids"] == got["class_ids"]
    for name, limit in ((name, LIMITS[name]) for name in gaps):
        same &= gaps[name] <= limit
    for name, gap in gaps.items():
        _keep(worst, f"{name}_max_abs", float(gap[same].max(initial=0.0)), LIMITS[name], where)
    lost = sum(_unmatched(expected, got, int(image), ~same[image]) for image in np.flatnonzero(~same.all(axis=1)))
    _keep(worst, "objects_differ", lost / max(1, same.size), TIES, where)


def _unmatched(expected: Mapping[str, Array], got: Mapping[str, Any], image: int, rows: Array) -> int:
    """How many of these rows have no partner among the other side's, one to one."""
    want, have = (
        {name: side[name][image][rows] for name in ("boxes", "scores", "class_ids")} for side in (expected, got)
    )
    free, lost = np.ones(len(have["scores"]), bool), 0
    for i in range(len(want["scores"])):
        near = np.abs(have["boxes"] - want["boxes"][i]).max(axis=1, initial=0.0) <= LIMITS["boxes"]
        near &= np.abs(have["scores"] - want["scores"][i]) <= LIMITS["scores"]
        fits = np.flatnonzero(free & near & (have["class_ids"] == want["class_ids"][i]))
        if len(fits):
            free[fits[0]] = False
        lost += not len(fits)
    return lost


def _keep(worst: dict[str, float], name: str, value: float, limit: float, where: str) -> None:
    worst[name] = max(worst.get(name, 0.0), value)
    if not value <= limit:
        raise ImportMismatch(f"{where}: {name}: expected at most {limit:g}, got {value:.3g}")
