"""Export of a checkpoint (`build`): trace, prove, score, describe, and only then write a package."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from foveal.export.card import card, measured_line
from foveal.export.evaluation.calibrate import with_error_before
from foveal.export.evaluation.evaluate import evaluate, same_metrics
from foveal.export.external_data import MAX_INLINE_BYTES
from foveal.export.proof.parity import prove
from foveal.export.proof.probes import probes
from foveal.export.tasks import exporter_of
from foveal.export.trace import opset_of
from foveal.export.writing import Drawings, Target, example_images, golden_files, write_verified
from foveal.imaging.preprocess import Preprocess
from foveal.imaging.sources import ImageSource
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import SessionSettings, open_session
from foveal.inference.verify import graph_tensors
from foveal.models.data.dataset import Sample
from foveal.models.training.checkpoint import Checkpoint
from foveal.packages.manifest import Manifest, Metrics, Parity, PipelineSpec, Tensor
from foveal.packages.package import Graph

MAX_BATCH = 16
PARITY_PHOTOS = 64
LIBRARIES = ("foveal", "torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "numpy", "opencv-python-headless")
Log = Callable[[str], None]
Samples = Sequence[Sample[Any]]


def build(
    checkpoint: Checkpoint,
    held_out: Samples,
    target: Target,
    *,
    val: Samples = (),
    split: str = "test",
    about: str = "",
    examples: Sequence[Path] = (),
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
        examples: images that the playground shows for this model; they become golden images.
        max_batch: largest batch to prove and to allow.
        inline_bytes: largest sum of weights inside model.onnx; more go into model.onnx.data.
        log: gets a line for a person after each step.

    Returns:
        The package's digest.

    Raises:
        ParityFailure: the graph, or its metrics, are not the checkpoint's. BadOutput: the target. BadImage: an example.
    """
    shown = example_images(examples)
    log("traces the network to ONNX")
    graph = exporter_of(checkpoint.task).trace(checkpoint, inline_bytes=inline_bytes)
    log(f"traced: {graph.size / 1e6:.1f} MB, opset {opset_of(graph)}")
    drawings = {**exporter_of(checkpoint.task).drawings(checkpoint), **shown}
    proved = _prove(checkpoint, graph, held_out, val, drawings, split=split, max_batch=max_batch, log=log)
    manifest = _manifest(checkpoint, target, proved, opset=opset_of(graph), examples=tuple(shown))
    digest = write_verified(target, manifest, graph, card(manifest, about=about), proved.golden)
    if not shown:
        log("no --example was given: the playground has none to offer; `foveal package set --example` adds some")
    return digest


@dataclass(frozen=True)
class _Proved:
    """What running the trained network and its graph side by side has shown."""

    spec: PipelineSpec  # of the graph, tuned and calibrated
    parity: Parity
    metrics: Metrics
    golden: Mapping[str, bytes]


def _manifest(
    checkpoint: Checkpoint, target: Target, proved: _Proved, *, opset: int, examples: tuple[str, ...]
) -> Manifest:
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
        examples=examples,
    )


def _prove(
    checkpoint: Checkpoint,
    graph: Graph,
    held_out: Samples,
    val: Samples,
    drawings: Drawings,
    *,
    split: str,
    max_batch: int,
    log: Log,
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
    log(f"proves the graph against the trained network on {len(images)} images, then scores both on {len(held_out)}")
    parity = prove(exporter, reference, exported, images, exact=exact)
    log(parity_line(parity))
    metrics = same_metrics(evaluate(reference, held_out), evaluate(exported, held_out), split)
    log(f"metrics of {metrics.images} images of {split!r}, and before export: {metrics_line(metrics)}")
    spec = spec.model_copy(update={"calibration": with_error_before(exported, held_out)})
    return _Proved(spec, parity, metrics, golden_files(exported, drawings))


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


def parity_line(parity: Parity) -> str:
    """The proof in a line."""
    sizes = ", ".join(map(str, parity.batch_sizes))
    return f"parity: {parity.images} images in batches of {sizes}: {measured_line(parity.measured)}"


def metrics_line(metrics: Metrics) -> str:
    """`top1 0.9474 (0.9474), …`: through the package, and of the trained network."""
    before = metrics.checkpoint_values
    return ", ".join(f"{name} {value:.4f} ({before[name]:.4f})" for name, value in metrics.values.items())


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
