"""Several classifiers served as one package: the mean of their probabilities, computed inside one graph.

Hansen, Salamon, "Neural Network Ensembles", PAMI 1990; for deep networks Lakshminarayanan, Pritzel, Blundell, NeurIPS
2017. The members' graphs stand side by side behind one input. Their calibrated probabilities are averaged and leave as
logarithms: softmax(log p) = p, so the kernel, the service and the proof of goldens see a classifier like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from foveal.errors import BadData, BadEnsemble
from foveal.export.base import Array, Comparison, Proof, TorchSession
from foveal.export.build import LIBRARIES, Target, check_before_writing, parity_images
from foveal.export.card import card
from foveal.export.ensemble.graph import mean_graph
from foveal.export.evaluation.evaluate import evaluate, read_data, same_metrics, select
from foveal.export.proof.parity import prove
from foveal.export.proof.rounding import Exact
from foveal.export.trace import opset_of
from foveal.formats import to_json
from foveal.imaging.preprocess import Preprocess
from foveal.inference.pipeline import Pipeline, Predictor
from foveal.inference.session import Session, SessionSettings, open_session
from foveal.inference.verify import golden_entry, graph_tensors
from foveal.models.data.dataset import Sample
from foveal.options import Options
from foveal.packages.manifest import Licences, Manifest, Member
from foveal.packages.package import ModelPackage
from foveal.tasks.base import Outputs
from foveal.tasks.classification import softmax

TOLERANCE = 1e-6
Log = Callable[[str], None]


class MeanProof:
    """What has to hold: the graph's probabilities are the mean of its members'."""

    criterion = f"every probability within {TOLERANCE:g} of the mean of the members' own, computed outside the graph"

    def proofs(self, manifest: Manifest) -> Sequence[Proof]:
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
    log: Log = lambda _: None,
) -> str:
    """Write the members' mean as a package.

    Args:
        members: two or more classifiers of the same labels and the same way from image to model input.
        data: the data set that all of them were trained with; their common test split is scored.
        target: where to.
        split_file: the CSV that they were trained with, if their recipes name one.
        about: what the model is for; goes on the card.
        log: gets a line for a person after each step.

    Returns:
        The package's digest.

    Raises:
        BadEnsemble: members that cannot be averaged. BadData: another data set than that of training.
        ParityFailure: the graph is not the mean. BadOutput: over 30 MB.
    """
    expect_alike(members)
    held_out = common_test(members, data, split_file)
    predictors = [Predictor(member) for member in members]
    own = [evaluate(predictor, held_out) for predictor in predictors]
    for member, scores in zip(members, own, strict=True):
        log(f"{member.ref}: {scores.values}")

    model = mean_graph(members)
    session, provider = open_session(model, SessionSettings())
    inputs, outputs = graph_tensors(session)
    draft = describe_ensemble(members, target)
    graph, reference = Pipeline(draft, session, provider), Pipeline(draft, mean_session(predictors), provider)
    images = parity_images(held_out, draft)
    against = "the members' own probabilities, averaged in NumPy"
    parity = prove(MeanProof(), reference, graph, images, max_batch=draft.max_batch, against=against)
    log(f"parity: {parity.images} images in batches of {parity.batch_sizes}: {parity.measured}")
    metrics = same_metrics(evaluate(reference, held_out), evaluate(graph, held_out), "test")
    log(f"the mean of {len(members)}: {metrics.values}")

    rows = tuple(
        Member(ref=member.ref, digest=member.digest, values={k: round(v, 6) for k, v in scores.values.items()})
        for member, scores in zip(members, own, strict=True)
    )
    final = {"inputs": inputs, "outputs": outputs, "opset": opset_of(model), "parity": parity, "metrics": metrics}
    manifest = Manifest.model_validate({**dict(draft), **final, "members": rows})
    golden = golden_of(Pipeline(manifest, session, provider), members[0])
    check_before_writing(manifest, model, golden)
    return ModelPackage.write(
        target.path, manifest=manifest, model=model, card=card(manifest, about=about), golden=golden
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
        if member.manifest.task != "classification":
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
        data = read_data(member.manifest, root, split_file)
        if data.fingerprint != member.manifest.data.fingerprint:
            trained = member.manifest.data.fingerprint
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
            own.append(softmax(logits, temperature=predictor.manifest.calibration.temperature or 1.0))
        with np.errstate(divide="ignore"):  # a probability of 0 in every member is one of 0 again
            return {"logits": np.log(np.mean(own, axis=0, dtype=np.float64))}

    return TorchSession(["logits"], forward)


def describe_ensemble(members: Sequence[ModelPackage], target: Target) -> Manifest:
    """What a manifest says before there is a graph; not validated. The recipe is what all members' recipes share."""
    manifests = [member.manifest for member in members]
    first = manifests[0]
    same = ("task", "labels", "preprocess", "postprocess", "inputs", "seed", "data")
    known: dict[str, Any] = {field: getattr(first, field) for field in same}
    known |= {
        "name": target.name,
        "version": target.version,
        "architecture": f"mean of {' + '.join(m.architecture for m in manifests)}",
        "max_batch": min(m.max_batch for m in manifests),
        "recipe": reduce(_shared, (m.recipe for m in manifests)),
        "licences": Licences(
            data="; ".join(dict.fromkeys(m.licences.data for m in manifests)),
            weights="; ".join(dict.fromkeys(m.licences.weights for m in manifests)),
        ),
        "created_with": {library: version(library) for library in LIBRARIES},
    }
    return Manifest.model_construct(**known)


def _shared(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in a.items() if name in b and b[name] == value}


def golden_of(pipeline: Pipeline, member: ModelPackage) -> dict[str, bytes]:
    """A member's golden images, and what the ensemble answers to them: file name inside golden/ -> bytes."""
    files = {}
    for golden in member.golden:
        files[f"{golden.name}.png"] = golden.image
        files[f"{golden.name}.json"] = to_json(golden_entry(pipeline, golden.name, golden.image))
    return files
