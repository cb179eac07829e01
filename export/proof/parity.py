"""Parity proof: the graph against the trained model, on the same model inputs, in several batch sizes."""

from collections.abc import Mapping
from functools import cache

import torch

from foveal.errors import ParityFailure
from foveal.export.proof.criteria import Comparison, Criterion
from foveal.export.proof.rounding import Exact
from foveal.imaging.sources import ImageSource
from foveal.inference.pipeline import Pipeline
from foveal.options import Options
from foveal.packages.manifest import Parity
from foveal.progress import track
from foveal.tasks import Prepared
from foveal.tasks.base import Outputs

SHOWN = 8  # failures that a message names
TRAINED = f"torch {torch.__version__} eager on CPU, the trained model itself"


def prove(
    criterion: Criterion,
    reference: Pipeline,
    graph: Pipeline,
    images: Mapping[str, ImageSource],
    *,
    against: str = TRAINED,
    exact: Pipeline | None = None,
) -> Parity:
    """Run the reference image by image and the graph in batches of 1, 2 and the largest that the spec allows; compare.

    Args:
        criterion: what has to hold.
        reference: the pipeline around what the graph has to equal: the unwrapped PyTorch model.
        graph: the pipeline around the exported bytes.
        images: name -> held-out photos, and probes whose content and size were not traced.
        against: what the reference is, in words.
        exact: the reference in float64; asked only about images that differ by more than the fixed bounds.

    Returns:
        What the manifest says about it: criterion and worst differences.

    Raises:
        ParityFailure: what differs, by how much, in which batch size.
    """
    max_batch = graph.spec.max_batch
    sizes = tuple(sorted({1, min(2, max_batch), max_batch}))
    prepared = [graph.prepare(image) for image in images.values()]
    measured: dict[str, float] = {}
    failures = []
    for proof in criterion.proofs(graph.spec):
        options = proof.options.resolved(graph.spec.defaults)
        expected = _in_batches(reference, prepared, 1, options)
        ask = None if exact is None else _asking(exact, prepared, options)
        for size in sizes:
            found = proof.compare(expected, _in_batches(graph, prepared, size, options), ask)
            failures += [f"batch of {size}: {failure}" for failure in found.failures]
            measured = _worst(measured, found)
    _raise_any(failures, len(prepared))
    count, held_to = len(prepared), criterion.criterion
    return Parity(reference=against, images=count, batch_sizes=sizes, criterion=held_to, measured=measured)


def _raise_any(failures: list[str], images: int) -> None:
    if failures:
        more = f" and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
        raise ParityFailure(f"over {images} images: {'; '.join(failures[:SHOWN])}{more}")


def _in_batches(pipeline: Pipeline, prepared: list[Prepared], size: int, options: Options) -> list[Outputs]:
    """Every image once, in batches of exactly `size`: the last batch is filled up with images from the front."""
    outputs: list[Outputs] = []
    starts = range(0, len(prepared), size)
    for start in track(starts, total=len(starts), what=f"prove, batches of {size}"):
        batch = [prepared[i % len(prepared)] for i in range(start, start + size)]
        outputs += pipeline.infer(batch, [options] * size)
    return outputs[: len(prepared)]


def _asking(exact: Pipeline, prepared: list[Prepared], options: Options) -> Exact:
    """Double precision takes several times as long: each image is computed once, when it is first asked for."""
    return cache(lambda image: _in_batches(exact, [prepared[image]], 1, options)[0])


def _worst(so_far: dict[str, float], found: Comparison) -> dict[str, float]:
    return so_far | {name: max(value, so_far.get(name, value)) for name, value in found.measured.items()}
