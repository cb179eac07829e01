"""Ensembles (`build_ensemble`): several classifiers as one package whose graph averages their probabilities.

Hansen, Salamon, "Neural Network Ensembles", PAMI 1990; for deep networks Lakshminarayanan, Pritzel, Blundell, NeurIPS
2017. The members' graphs stand side by side behind one input. Their calibrated probabilities are averaged and leave as
logarithms: softmax(log p) = p, so the core, the service and the proof of goldens see a classifier like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from foveal.errors import BadData, BadEnsemble
from foveal.export.build import library_versions, metrics_line, parity_images, parity_line
from foveal.export.card import card, figures_line
from foveal.export.ensemble.graph import mean_graph
from foveal.export.evaluation.evaluate import evaluate, read_data, same_metrics, select
from foveal.export.external_data import MAX_INLINE_BYTES
from foveal.export.networks import Array, TorchSession
from foveal.export.proof.criteria import Comparison, Proof
from foveal.export.proof.parity import prove
from foveal.export.proof.rounding import Exact
from foveal.export.trace import opset_of
from foveal.export.writing import Target, answered, write_verified
from foveal.imaging.preprocess import Preprocess
from foveal.inference.pipeline import Pipeline, Predictor
from foveal.inference.session import Session, SessionSettings, open_session
from foveal.inference.verify import graph_tensors
from foveal.metrics import Scores
from foveal.models.data.dataset import Sample
from foveal.options import Options
from foveal.packages.manifest import Calibration, Licences, Manifest, Member, PipelineSpec, Tensor
from foveal.packages.package import ModelPackage
from foveal.tasks import task_of
from foveal.tasks.base import Outputs
from foveal.tasks.classification import ClassificationTask, softmax

TOLERANCE = 1e-6
Log = Callable[[str], None]


class MeanCriterion:
    """What has to hold: the graph's probabilities are the mean of its members'."""

    criterion = f"every probability within {TOLERANCE:g} of the mean of the members' own, computed outside the graph"

    def proofs(self, spec: PipelineSpec) -> Sequence[Proof]:
        """One: no option changes what such a graph computes."""
        return (Proof(Options(), self.compare),)

    def compare(self, expected: Sequence[Outputs], got: Sequence[Outputs], exact: Exact | None = None) -> Comparison:
        """Probabilities against probabilities."""
        want, have = (softmax(np.stack([raw["logits"] for raw in side])) for side in (expected, got))
        worst = float(np.abs(want - have).max()) if want.shape == have.shape else float("nan")
        failure = f"probabilities: expected within {TOLERANCE:g}, got a difference of {worst:.3g}"
        return Comparison({"probability_max_abs": worst}, () if worst <= TOLERANCE else (failure,))


def build_ensemble(
    members: Sequence[ModelPackage],
    data: Path,
    target: Target,
    *,
    split_file: Path | None = None,
    about: str = "",
    inline_bytes: int = MAX_INLINE_BYTES,
    log: Log = lambda _: None,
) -> str:
    """Write the members' mean as a package.

    Args:
        members: two or more classifiers of the same labels and the same way from image to model input.
        data: the data set that all of them were trained with; their common test split is scored.
        target: where to.
        split_file: the CSV that they were trained with, if their recipes name one.
        about: what the model is for; goes on the card.
        inline_bytes: largest sum of weights inside model.onnx; more go into model.onnx.data.
        log: gets a line for a person after each step.

    Returns:
        The package's digest.

    Raises:
        BadEnsemble: members that cannot be averaged. BadData: another data set than that of training.
        ParityFailure: the graph is not the mean.
    """
    expect_alike(members)
    held_out = common_test(members, data, split_file)
    predictors = [Predictor(member) for member in members]
    own = [evaluate(predictor, held_out) for predictor in predictors]
    for member, scores in zip(members, own, strict=True):
        log(f"{member.ref}: {figures_line(scores.values)}")

    graph = mean_graph(members, inline_bytes=inline_bytes)
    session, provider = open_session(graph.model, SessionSettings(), weights=graph.weights)
    spec = mean_spec(members, graph_tensors(session))
    exported, reference = Pipeline(spec, session, provider), Pipeline(spec, mean_session(predictors), provider)
    images = parity_images(held_out, spec.preprocess)
    against = "the members' own probabilities, averaged in NumPy"
    parity = prove(MeanCriterion(), reference, exported, images, against=against)
    log(parity_line(parity))
    metrics = same_metrics(evaluate(reference, held_out), evaluate(exported, held_out), "test")
    log(f"the mean of {len(members)}: {metrics_line(metrics)}")
    measured = {"pipeline": spec, "parity": parity, "metrics": metrics, "opset": opset_of(graph)}
    manifest = mean_manifest(members, own, target, **measured)
    return write_verified(target, manifest, graph, card(manifest, about=about), golden_of(exported, members[0]))


def mean_manifest(
    members: Sequence[ModelPackage], scores: Sequence[Scores], target: Target, **measured: Any
) -> Manifest:
    """What is known of the ensemble: what was `measured` on it, and what its members have in common."""
    manifests = [member.manifest for member in members]
    return Manifest(
        name=target.name,
        version=target.version,
        architecture=mean_architecture(members),
        data=manifests[0].data,
        recipe=reduce(_shared, (m.recipe for m in manifests)),
        seed=manifests[0].seed,
        licences=Licences(
            data="; ".join(dict.fromkeys(m.licences.data for m in manifests)),
            weights="; ".join(dict.fromkeys(m.licences.weights for m in manifests)),
        ),
        created_with=library_versions(),
        members=tuple(_member(member, own) for member, own in zip(members, scores, strict=True)),
        examples=manifests[0].examples,
        **measured,
    )


def expect_alike(members: Sequence[ModelPackage]) -> None:
    """Whether a mean over the members' answers has a meaning.

    The way from image to model input must be one: the service resizes an image once, from its own pixels; a member that
    got a resized model input instead would see what it was not trained on, and answer otherwise than alone.

    Raises:
        BadEnsemble: what differs, and between whom.
    """
    if len({member.digest for member in members}) < max(2, len(members)):
        raise BadEnsemble(f"expected two or more different packages, got {', '.join(m.ref for m in members) or 'none'}")
    first = members[0]
    for member in members:
        if member.manifest.data is None:
            raise BadEnsemble(f"{member.ref}: expected a model that Foveal trained, got one that was imported")
        if not isinstance(task_of(member.manifest.task), ClassificationTask):
            raise BadEnsemble(f"{member.ref}: expected a classifier, got {member.manifest.task}")
    for other in members[1:]:
        for what, property_of in (("labels", _labels), ("preprocess", _way), ("opset", _opset)):
            if property_of(first) != property_of(other):
                both = f"{property_of(first)} of {first.ref}; got {property_of(other)} of {other.ref}"
                raise BadEnsemble(f"{what}: expected the {both}")


def _labels(member: ModelPackage) -> str:
    return ", ".join(member.manifest.labels)


def _way(member: ModelPackage) -> dict[str, Any]:
    """From image to model input; normalisation is inside each graph and may differ, but a padding has its colour."""
    preprocess: Preprocess = member.manifest.preprocess
    padding = {"padding_rgb": preprocess.padding_rgb} if preprocess.mode == "letterbox" else {}
    return preprocess.model_dump(exclude={"mean", "std"}) | padding


def _opset(member: ModelPackage) -> int:
    return member.manifest.opset


def common_test(members: Sequence[ModelPackage], root: Path, split_file: Path | None) -> tuple[Sample[int], ...]:
    """The test split, which none of the members learnt from.

    Raises:
        BadData: not the data set of a member's training. BadEnsemble: members that split it differently.
    """
    tests = []
    for member in members:
        data = read_data(member.manifest.task, member.manifest.recipe, root, split_file)
        trained = member.manifest.data and member.manifest.data.fingerprint
        if data.fingerprint != trained:
            raise BadData(f"{root}: expected the data set that {member.ref} was trained with, {trained}, got another")
        tests.append(select(data, "test", member.manifest.labels))
    names = [{sample.name for sample in test} for test in tests]
    for member, own in zip(members[1:], names[1:], strict=True):
        if own != names[0]:
            learnt = f"{len(names[0] - own)} test images of {members[0].ref} are not in that of {member.ref}"
            raise BadEnsemble(f"expected one test split, which no member learnt from; {learnt}")
    return tests[0]


def mean_session(predictors: Sequence[Predictor]) -> Session:
    """Answers with the logarithm of the members' mean probabilities, each member run by itself."""

    def forward(feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        own = []
        for predictor in predictors:
            logits = predictor.session.run(["logits"], feeds)[0]
            own.append(softmax(logits, temperature=predictor.spec.calibration.temperature or 1.0))
        with np.errstate(divide="ignore"):  # a probability of 0 in every member is one of 0 again
            return {"logits": np.log(np.mean(own, axis=0, dtype=np.float64))}

    return TorchSession(["logits"], forward)


def mean_spec(members: Sequence[ModelPackage], tensors: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]) -> PipelineSpec:
    """The first member's, with the graph's own inputs and outputs; temperatures are inside the graph."""
    specs = [member.manifest.pipeline for member in members]
    inputs, outputs = tensors
    max_batch = min(spec.max_batch for spec in specs)
    changes = {"inputs": inputs, "outputs": outputs, "max_batch": max_batch, "calibration": Calibration()}
    return specs[0].model_copy(update=changes)


def mean_architecture(members: Sequence[ModelPackage]) -> str:
    """Name of the network for manifest and card."""
    return f"mean of {' + '.join(member.manifest.architecture for member in members)}"


def _member(member: ModelPackage, scores: Scores) -> Member:
    values = {name: round(value, 6) for name, value in scores.values.items()}
    return Member(ref=member.ref, digest=member.digest, values=values)


def _shared(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in a.items() if name in b and b[name] == value}


def golden_of(pipeline: Pipeline, member: ModelPackage) -> dict[str, bytes]:
    """A member's golden images, and what the ensemble answers to them: file name inside golden/ -> bytes."""
    return answered(pipeline, {golden.name: golden.image for golden in member.golden})
