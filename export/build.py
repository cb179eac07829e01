"""Export of a checkpoint (`build`): trace, prove, score, describe, and only then write a package."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from foveal.errors import BadOutput
from foveal.export.card import card
from foveal.export.evaluation.calibrate import with_error_before
from foveal.export.evaluation.evaluate import evaluate, same_metrics
from foveal.export.external_data import MAX_INLINE_BYTES
from foveal.export.golden import golden_files
from foveal.export.proof.parity import prove
from foveal.export.proof.probes import probes
from foveal.export.tasks import exporter_of
from foveal.export.trace import opset_of
from foveal.imaging.preprocess import Preprocess
from foveal.imaging.sources import ImageSource
from foveal.inference.pipeline import Pipeline, Predictor
from foveal.inference.session import SessionSettings, open_session
from foveal.inference.verify import check_batches, check_golden, check_graph, graph_tensors
from foveal.models.data.dataset import Sample
from foveal.models.training.checkpoint import Checkpoint
from foveal.packages.manifest import MAX_NAME, NAME_PATTERN, Manifest, Metrics, Parity, PipelineSpec, Tensor
from foveal.packages.package import Graph, ModelPackage

MAX_BATCH = 16
PARITY_PHOTOS = 64
LIBRARIES = ("foveal", "torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "numpy", "opencv-python-headless")
Log = Callable[[str], None]
Samples = Sequence[Sample[Any]]


@dataclass(frozen=True)
class Target:
    """Where a package goes: zoo/<name>/<version>."""

    path: Path
    name: str
    version: int

    @classmethod
    def of(cls, path: Path) -> "Target":
        """Read name and version off the folder.

        Raises:
            BadOutput: it exists, or its last part is no whole number.
        """
        path = path.absolute()
        if path.exists():
            raise BadOutput(f"{path}: expected a folder that does not exist yet")
        if not path.name.isdigit():
            raise BadOutput(f"{path}: expected <name>/<version> with a whole number as version, got {path.name!r}")
        name = path.parent.name
        if not re.fullmatch(NAME_PATTERN, name) or len(name) > MAX_NAME:
            raise BadOutput(
                f"{path}: expected a name of lower-case letters, digits and hyphens, at most {MAX_NAME}, got {name!r}"
            )
        return cls(path, name, int(path.name))


def build(
    checkpoint: Checkpoint,
    held_out: Samples,
    target: Target,
    *,
    val: Samples = (),
    split: str = "test",
    about: str = "",
    max_batch: int = MAX_BATCH,
    inline_bytes: int = MAX_INLINE_BYTES,
    log: Log = lambda _: None,
) -> str:
    """Export a checkpoint as a package.

    Args:
        checkpoint: the trained network.
        held_out: samples that took no part in training; parity runs on some, metrics on all of them.
        target: where to.
        val: samples that chose the checkpoint; defaults are tuned on them where the task has something to tune.
        split: what the card calls these samples.
        about: what the model is for, in the maker's words; goes on the card.
        max_batch: largest batch to prove and to allow.
        inline_bytes: largest sum of weights inside model.onnx; more go into model.onnx.data.
        log: gets a line for a person after each step.

    Returns:
        The package's digest.

    Raises:
        ParityFailure: the graph, or its metrics, are not the checkpoint's. BadOutput: the target.
    """
    graph = exporter_of(checkpoint.task).trace(checkpoint, inline_bytes=inline_bytes)
    log(f"traced: {graph.size / 1e6:.1f} MB, opset {opset_of(graph)}")
    proved = _prove(checkpoint, graph, held_out, val, split=split, max_batch=max_batch, log=log)
    manifest = _manifest(checkpoint, target, proved, opset=opset_of(graph))
    return write_verified(target, manifest, graph, card(manifest, about=about), proved.golden)


@dataclass(frozen=True)
class _Proved:
    """What running the trained network and its graph side by side has shown."""

    spec: PipelineSpec  # of the graph, tuned and calibrated
    parity: Parity
    metrics: Metrics
    golden: Mapping[str, bytes]


def _manifest(checkpoint: Checkpoint, target: Target, proved: _Proved, *, opset: int) -> Manifest:
    """All that is known about the package."""
    return Manifest(
        name=target.name,
        version=target.version,
        architecture=checkpoint.architecture,
        pipeline=proved.spec,
        opset=opset,
        parity=proved.parity,
        metrics=proved.metrics,
        data=checkpoint.data,
        recipe=portable_recipe(checkpoint.recipe.model_dump(mode="json")),
        seed=checkpoint.seed,
        licences=checkpoint.licences,
        created_with=library_versions(),
    )


def _prove(
    checkpoint: Checkpoint, graph: Graph, held_out: Samples, val: Samples, *, split: str, max_batch: int, log: Log
) -> _Proved:
    """Parity, metrics of both, goldens; the sessions are closed when it returns."""
    exporter = exporter_of(checkpoint.task)
    session, provider = open_session(graph.model, SessionSettings(), weights=graph.weights)
    trained, in_double = exporter.reference(checkpoint), exporter.exact(checkpoint)
    spec = pipeline_spec(checkpoint, graph_tensors(session), max_batch=max_batch)
    if val:
        spec = exporter.tuned(Pipeline(spec, trained, "torch"), val)
    reference, exported = Pipeline(spec, trained, "torch"), Pipeline(spec, session, provider)
    exact = None if in_double is None else Pipeline(spec, in_double, "torch")
    images = parity_images(held_out, spec.preprocess)
    parity = prove(exporter, reference, exported, images, exact=exact)
    log(f"parity: {parity.images} images in batches of {parity.batch_sizes}: {parity.measured}")
    metrics = same_metrics(evaluate(reference, held_out), evaluate(exported, held_out), split)
    log(f"metrics: {metrics.images} images of {split!r}: {metrics.values}; before export {metrics.checkpoint_values}")
    spec = spec.model_copy(update={"calibration": with_error_before(exported, held_out)})
    return _Proved(spec, parity, metrics, golden_files(exported, exporter.drawings(checkpoint)))


def pipeline_spec(
    checkpoint: Checkpoint,
    tensors: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None = None,
    *,
    max_batch: int = MAX_BATCH,
) -> PipelineSpec:
    """What a pipeline must know about a checkpoint.

    Args:
        checkpoint: the trained network.
        tensors: inputs and outputs of its graph; None: there is none yet.
        max_batch: largest batch to allow.
    """
    exporter = exporter_of(checkpoint.task)
    inputs, outputs = tensors or (exporter.inputs(checkpoint), ())
    return PipelineSpec(
        task=checkpoint.task,
        labels=checkpoint.labels,
        preprocess=checkpoint.preprocess,
        defaults=exporter.defaults(checkpoint),
        inputs=inputs,
        outputs=outputs,
        max_batch=max_batch,
    )


def library_versions() -> dict[str, str]:
    """Library -> installed version, of those that shape a package."""
    return {library: version(library) for library in LIBRARIES}


def portable_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without folders of the machine it ran on: files keep their names only."""
    files = ("weights", "split_file")
    return {key: Path(value).name if key in files and value else value for key, value in recipe.items()}


def parity_images(held_out: Samples, preprocess: Preprocess) -> Mapping[str, ImageSource]:
    """At most 64 held-out images spread evenly over the samples, and everything that `probes` makes."""
    step = max(1, len(held_out) // PARITY_PHOTOS)
    photos: dict[str, ImageSource] = {sample.name: sample.path for sample in held_out[::step][:PARITY_PHOTOS]}
    return photos | dict(probes(preprocess.input_hw))


def write_verified(target: Target, manifest: Manifest, graph: Graph, text: str, golden: Mapping[str, bytes]) -> str:
    """Write a package once it passes what `foveal verify` checks, while it is still in memory.

    Returns:
        The package's digest.

    Raises:
        BadPackage: it would not verify. BadOutput: it cannot be written.
    """
    unsaved = Predictor(ModelPackage.unsaved(manifest, graph.model, golden, weights=graph.weights))
    check_graph(unsaved)
    check_batches(unsaved)
    check_golden(unsaved)
    return ModelPackage.write(
        target.path, manifest=manifest, model=graph.model, card=text, golden=golden, weights=graph.weights
    )
