"""Export of detectors and instance segmenters (`DetectionExporter`).

`foveal.tasks.object_detection` names the graphs' tensors.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal import synth
from foveal.export.detection.families import family_of
from foveal.export.detection.match import Tolerance, judge
from foveal.export.detection.nms_op import onnx_translations
from foveal.export.detection.rounding import judge_again
from foveal.export.evaluation.evaluate import evaluate
from foveal.export.external_data import MAX_INLINE_BYTES
from foveal.export.networks import TorchSession
from foveal.export.proof.criteria import Comparison, Proof
from foveal.export.proof.rounding import ROUNDINGS, Exact, doubled
from foveal.export.trace import BATCH, trace
from foveal.imaging.boxes import nms
from foveal.inference.pipeline import Pipeline
from foveal.inference.session import Session
from foveal.models.data.dataset import Sample
from foveal.models.training.checkpoint import Checkpoint
from foveal.options import MAX_DETECTIONS, Defaults, Options
from foveal.packages.manifest import PipelineSpec, Tensor
from foveal.packages.package import Graph
from foveal.tasks import task_of
from foveal.tasks.base import Outputs
from foveal.tasks.object_detection import graph_family

PROOF_SCORE = 0.05  # far below every sensible default, so that weak detections are proved too


class DetectionExporter:
    """Faster and Mask R-CNN, RetinaNet, SSD and SSDLite."""

    criterion = (
        f"detections with a score above {PROOF_SCORE}, before NMS and after it, matched one to one: same class, every "
        "edge within 0.02 model-input px, scores within 1e-4, pasted masks IoU >= 0.999 (a pixel within 1e-4 of the "
        f"cut at 0.5 may fall on either side), or within {ROUNDINGS} times the trained model's own float32 error on "
        "that image; left over and counted as explained: only what hangs on a threshold, a cut or an equal rival to "
        "the same digits, or what float32 and float64 decide differently in the trained model itself"
    )

    def inputs(self, checkpoint: Checkpoint) -> tuple[Tensor, ...]:
        """What the network's family reads."""
        example = family_of(checkpoint.network).example(checkpoint.preprocess.input_hw)
        dtypes = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in example.items()}
        return tuple(
            Tensor(name=name, dtype=dtypes[name], shape=(BATCH, *tensor.shape[1:]) if tensor.ndim else ())
            for name, tensor in example.items()
        )

    def trace(self, checkpoint: Checkpoint, *, inline_bytes: int = MAX_INLINE_BYTES) -> Graph:
        """The ONNX graph of the network's family."""
        network, input_hw = checkpoint.network, checkpoint.preprocess.input_hw
        family = family_of(network)
        return trace(
            family.graph(network, input_hw).eval(),
            family.example(input_hw),
            family.outputs(network),
            translations=onnx_translations(),
            inline_bytes=inline_bytes,
        )

    def reference(self, checkpoint: Checkpoint) -> Session:
        """The network's own forward, one image at a time, torchvision's post-processing included."""
        family = family_of(checkpoint.network)
        outputs = (*family.outputs(checkpoint.network), *family.doubts)
        return TorchSession(outputs, partial(family.answer, checkpoint.network))

    def exact(self, checkpoint: Checkpoint) -> Session:
        """The same in float64; copied when it is first asked."""
        family = family_of(checkpoint.network)
        outputs = (*family.outputs(checkpoint.network), *family.doubts)
        network = cache(lambda: doubled(checkpoint.network))
        return TorchSession(outputs, lambda feeds: family.answer(network(), feeds))

    def defaults(self, checkpoint: Checkpoint) -> Defaults:
        """The recipe's NMS; its score threshold stands where val does not tell a better one (`tuned`)."""
        masks = "mask_format" in task_of(checkpoint.task).option_names
        recipe = checkpoint.recipe.model_dump()
        return Defaults(
            score_threshold=recipe["score_threshold"],
            iou_threshold=recipe["iou_threshold"],
            max_detections=MAX_DETECTIONS,
            mask_format="rle" if masks else None,
        )

    def tuned(self, trained: Pipeline, val: Sequence[Sample[Any]]) -> PipelineSpec:
        """The score threshold with the best F1 over all classes."""
        best = evaluate(trained, val).details["best_f1"]["score_threshold"]
        defaults = trained.spec.defaults.model_copy(update={"score_threshold": round(best, 4)})
        return trained.spec.model_copy(update={"defaults": defaults})

    def drawings(self, checkpoint: Checkpoint) -> Mapping[str, npt.NDArray[np.uint8]]:
        """Scenes in the styles that know one of the model's labels, else in two others; one wide, one high."""
        styles = [name for name, style in synth.STYLES.items() if set(style.labels) & set(checkpoint.labels)]
        names = (styles or ["blood", "nuclei"]) * 2
        sizes = ((240, 320), (320, 240))
        return {
            f"{name}-{height}x{width}": synth.draw(name, image_hw=(height, width)).rgb
            for name, (height, width) in zip(names, sizes, strict=False)
        }

    def proofs(self, spec: PipelineSpec) -> Sequence[Proof]:
        """Every candidate, since NMS at 1 drops none: that proves the network. NMS as served: that proves decisions."""
        candidates = Options(score_threshold=PROOF_SCORE, iou_threshold=1.0)
        served = Options(score_threshold=PROOF_SCORE, iou_threshold=spec.defaults.iou_threshold)
        return (
            Proof(candidates, partial(compare, "candidates", spec, candidates)),
            Proof(served, partial(compare, "detections", spec, served)),
        )


def compare(
    what: str,
    spec: PipelineSpec,
    options: Options,
    expected: Sequence[Outputs],
    got: Sequence[Outputs],
    exact: Exact | None = None,
) -> Comparison:
    """Matched sets, image by image, under options that state both thresholds; `what` begins the figures' names.

    Where an image breaks the fixed bounds, the network's exact answers decide (rounding.py).
    """

    def detections(rows: Outputs) -> Outputs:
        return suppressed(rows, options) if graph_family(spec) == "one-stage" else rows

    verdicts, own = [], []
    for i, (want, have) in enumerate(zip(map(detections, expected), map(detections, got), strict=True)):
        verdict = judge(want, have, options, Tolerance())
        if verdict.failures and exact is not None:
            again = judge_again(want, have, detections(exact(i)), options)
            verdict = again.verdict
            own.append(again.own)
        verdicts.append(verdict)
    figures = {
        "expected": sum(verdict.detections for verdict in verdicts),
        "matched": sum(verdict.matched for verdict in verdicts),
        "explained": sum(verdict.explained for verdict in verdicts),
        "box_px": max(verdict.box_px for verdict in verdicts),
        "score": max(verdict.score for verdict in verdicts),
        "mask_iou_lack": max(1 - verdict.mask_iou for verdict in verdicts),
    }
    if own:
        figures |= {"own_box_px": max(one.box_px for one in own), "own_score": max(one.score for one in own)}
    failures = (f"{what} of image {i}: {f}" for i, verdict in enumerate(verdicts) for f in verdict.failures)
    return Comparison({f"{what}_{name}": float(value) for name, value in figures.items()}, tuple(failures))


def suppressed(candidates: Outputs, options: Options) -> Outputs:
    """A one-stage image's candidates (K rows) -> its detections, by the core's NMS."""
    assert options.score_threshold is not None
    assert options.iou_threshold is not None
    rows = np.flatnonzero(candidates["scores"] > options.score_threshold)
    above = {name: value[rows] for name, value in candidates.items()}
    kept = nms(above["boxes"], above["scores"], above["class_ids"], options.iou_threshold, limit=MAX_DETECTIONS)
    return {name: value[kept] for name, value in above.items()}
