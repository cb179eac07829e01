"""Checkpoint -> package: trace, prove, score, describe, and only then write. A failure leaves nothing behind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from foveal.errors import BadOutput
from foveal.export.card import card
from foveal.export.evaluation.calibrate import with_error_before
from foveal.export.evaluation.evaluate import evaluate, same_metrics
from foveal.export.golden import golden_files
from foveal.export.proof.parity import prove
from foveal.export.proof.probes import probes
from foveal.export.tasks import exporter_of
from foveal.export.trace import opset_of
from foveal.inference.pipeline import ImageSource, Pipeline, Predictor
from foveal.inference.session import SessionSettings, open_session
from foveal.inference.verify import check_batches, check_golden, check_graph, graph_tensors
from foveal.models.data.dataset import Sample
from foveal.models.training.checkpoint import Checkpoint
from foveal.packages.manifest import Manifest
from foveal.packages.package import MAX_PACKAGE_BYTES, ModelPackage

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
        return cls(path, path.parent.name, int(path.name))


def build(
    checkpoint: Checkpoint,
    held_out: Samples,
    target: Target,
    *,
    val: Samples = (),
    split: str = "test",
    about: str = "",
    max_batch: int = MAX_BATCH,
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
        log: gets a line for a person after each step.

    Returns:
        The package's digest.

    Raises:
        ParityFailure: the graph, or its metrics, are not the checkpoint's. BadOutput: the target, or over 30 MB.
    """
    draft = describe(checkpoint, name=target.name, number=target.version, max_batch=max_batch)
    exporter = exporter_of(checkpoint.task)
    model = exporter.trace(checkpoint)
    if len(model) > MAX_PACKAGE_BYTES:
        size, limit = len(model) / 1e6, MAX_PACKAGE_BYTES / 1e6
        raise BadOutput(
            f"expected a package of at most {limit:.1f} MB, got a graph of {size:.1f} MB: smaller backbone?"
        )
    session, provider = open_session(model, SessionSettings())
    inputs, outputs = graph_tensors(session)
    log(f"traced: {len(model) / 1e6:.1f} MB, opset {opset_of(model)}")

    trained = exporter.reference(checkpoint)
    if val:
        draft = draft.model_copy(update=exporter.tuned(Pipeline(draft, trained, "torch"), val))

    reference = Pipeline(draft, trained, "torch")
    graph = Pipeline(draft, session, provider)
    in_double = exporter.exact(checkpoint)
    exact = None if in_double is None else Pipeline(draft, in_double, "torch")
    parity = prove(exporter, reference, graph, parity_images(held_out, draft), max_batch=max_batch, exact=exact)
    log(f"parity: {parity.images} images in batches of {parity.batch_sizes}: {parity.measured}")
    metrics = same_metrics(evaluate(reference, held_out), evaluate(graph, held_out), split)
    log(f"metrics: {metrics.images} images of {split!r}: {metrics.values}; before export {metrics.checkpoint_values}")

    final = {"inputs": inputs, "outputs": outputs, "opset": opset_of(model), "parity": parity, "metrics": metrics}
    final["calibration"] = with_error_before(graph, held_out)
    manifest = Manifest.model_validate({**dict(draft), **final})
    golden = golden_files(Pipeline(manifest, session, provider), exporter.drawings(checkpoint))
    text = card(manifest, about=about)
    check_before_writing(manifest, model, golden)
    return ModelPackage.write(target.path, manifest=manifest, model=model, card=text, golden=golden)


def describe(checkpoint: Checkpoint, *, name: str, number: int, max_batch: int) -> Manifest:
    """What a manifest says about a checkpoint before there is a graph.

    Not validated, since graph, parity and metrics are missing: enough for a `Pipeline`, never for a package.
    """
    exporter = exporter_of(checkpoint.task)
    same = ("task", "architecture", "labels", "preprocess", "data", "seed", "licences")
    known: dict[str, Any] = {field: getattr(checkpoint, field) for field in same}
    known |= {
        "name": name,
        "version": number,
        "postprocess": exporter.postprocess(checkpoint),
        "inputs": exporter.inputs(checkpoint),
        "max_batch": max_batch,
        "recipe": portable_recipe(checkpoint.recipe.model_dump(mode="json")),
        "created_with": {library: version(library) for library in LIBRARIES},
    }
    return Manifest.model_construct(**known)


def portable_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without folders of the machine it ran on: files keep their names only."""
    files = ("weights", "split_file")
    return {key: Path(value).name if key in files and value else value for key, value in recipe.items()}


def parity_images(held_out: Samples, manifest: Manifest) -> Mapping[str, ImageSource]:
    """At most 64 held-out images spread evenly over the samples, and everything that `probes` makes."""
    step = max(1, len(held_out) // PARITY_PHOTOS)
    photos: dict[str, ImageSource] = {sample.name: sample.path for sample in held_out[::step][:PARITY_PHOTOS]}
    return photos | dict(probes(manifest.preprocess.input_hw))


def check_before_writing(manifest: Manifest, model: bytes, golden: Mapping[str, bytes]) -> None:
    """What `foveal verify` will check, on the package still in memory.

    Raises:
        BadPackage: it would not verify.
    """
    unsaved = Predictor(ModelPackage.unsaved(manifest, model, golden))
    check_graph(unsaved)
    check_batches(unsaved)
    check_golden(unsaved)
