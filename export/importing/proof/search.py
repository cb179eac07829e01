"""Search of readings (`search`): which flags make a foreign file answer as its reference says."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from foveal.errors import FovealError
from foveal.export.importing.compiling import fed
from foveal.export.importing.families.detr import DetrHead, SelectedHead
from foveal.export.importing.families.head import Array, Head
from foveal.export.importing.families.yolo import EndToEndHead
from foveal.export.importing.flags import CHOICES
from foveal.export.importing.foreign import Foreign
from foveal.export.importing.labels import labelled
from foveal.export.importing.proof.matching import SCORE, Match, floor_of, match
from foveal.export.importing.proof.reference import Reference
from foveal.export.importing.proof.results_files import Answer
from foveal.export.importing.reading import Reading
from foveal.imaging.decode import Decoded
from foveal.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD, ImageTransform
from foveal.imaging.sources import load
from foveal.inference.session import Session
from foveal.options import MAX_DETECTIONS, Defaults, Options
from foveal.packages.manifest import PipelineSpec, Tensor
from foveal.results import Result
from foveal.tasks import task_of
from foveal.tasks.base import Outputs

SEARCHED_IMAGES = 4
ROUNDS = 5  # flags that may be wrong at once
INPUT_FIELDS = 11  # fields of a reading that the graph's input depends on come first
CROPS = (1.0, 256 / 224, 1 / 0.875, 1 / 0.9, 1 / 0.95)  # shorter side / crop, as published recipes have it
NORMALISATIONS: tuple[dict[str, Any], ...] = (
    {"scale": 1 / 255, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
    {"scale": 1.0, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
    {"scale": 1 / 255, "mean": IMAGENET_MEAN, "std": IMAGENET_STD},
    {"scale": 1 / 255, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    {"scale": 1.0, "mean": (103.939, 116.779, 123.68), "std": (1.0, 1.0, 1.0)},  # Caffe's, for BGR
)


NMS: Mapping[str, Literal["none", "per_class", "per_class_offset", "agnostic"]] = {
    "none": "none",
    "per-class": "per_class",
    "per-class-offset": "per_class_offset",
    "agnostic": "agnostic",
}


def defaults_of(task: str, reading: Reading, score_threshold: float) -> Defaults:
    """A package's defaults for a task."""
    values = {
        "top_k": 5,
        "score_threshold": score_threshold,
        "iou_threshold": reading.iou_threshold,
        "max_detections": MAX_DETECTIONS,
    }
    names = task_of(task).option_names
    masks = "rle" if task_of(task).has_objects else "png"
    chosen = {name: value for name, value in values.items() if name in names}
    return Defaults(**chosen, mask_format=masks if "mask_format" in names else None)


def spec_of(
    head: Head,
    reading: Reading,
    labels: tuple[str, ...],
    *,
    score_threshold: float = 0.25,
    tensors: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] = ((), ()),
    max_batch: int = 1,
) -> PipelineSpec:
    """What the pipeline must know of an import."""
    inputs, outputs = tensors
    images = Tensor(name="images", dtype="uint8", shape=(1, *reading.input_size, 3))
    return PipelineSpec(
        task=head.task,
        labels=labels,
        preprocess=reading.preprocess(),
        defaults=defaults_of(head.task, reading, score_threshold),
        inputs=inputs or (images,),
        outputs=outputs,
        max_batch=max_batch,
        nms=NMS[reading.nms],
    )


def proof_options(task: str, labels: Sequence[str], reference: Reference) -> Options:
    """Options under which everything that the reference has is answered."""
    if task_of(task).has_objects:
        return Options(score_threshold=max(0.0, floor_of(reference) - 2 * SCORE), max_detections=MAX_DETECTIONS)
    return Options(top_k=len(labels)) if "top_k" in task_of(task).option_names else Options()


def result_for(
    answer: Answer, outputs: Outputs, transform: ImageTransform, spec: PipelineSpec, options: Options
) -> Result:
    """One image's outputs as a result of the image's size; a class map of the size that the answer has.

    Frameworks give class maps of the model input, or of the image.
    """
    seen = answer.class_map
    if seen is not None and seen.shape == transform.input_hw != transform.image_hw:
        transform = ImageTransform(transform.input_hw, transform.input_hw, transform.input_hw, (1.0, 1.0))
    return task_of(spec.task).decode(outputs, transform, spec, options)


@dataclass
class Trials:
    """Runs a foreign file under any reading, its input and its answers computed in NumPy; nothing is compiled."""

    foreign: Foreign
    session: Session
    head: Head
    labels: Sequence[str] | None
    reference: Reference
    images: Mapping[Path, Decoded] = field(default_factory=dict)
    _runs: dict[tuple[Any, ...], list[Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        best_first = sorted(self.reference.images, key=lambda path: -len(self.reference.images[path].scores))
        self.images = {path: load(path, colour_managed=False) for path in best_first[:SEARCHED_IMAGES]}

    def match(self, reading: Reading) -> Match:
        """Agreement of the first images; none where the reading makes no sense."""
        try:
            labels, _ = labelled(self.head, reading, self.labels, self.foreign.name)
            results = self.results(reading)
            found = [match(results, numbered) for numbered in self.reference.numberings(len(labels))]
            return max(found, key=lambda each: (each.share, each.closeness), default=_nothing())
        except (FovealError, ValueError, IndexError):
            return _nothing()

    def results(self, reading: Reading) -> dict[Path, Result]:
        """Answers to the first images.

        Raises:
            FovealError, ValueError: the reading makes no sense.
        """
        labels = labelled(self.head, reading, self.labels, self.foreign.name)
        return {path: self._result(reading, labels, path, image) for path, image in self.images.items()}

    def _result(
        self, reading: Reading, labels: tuple[tuple[str, ...], tuple[int, ...]], path: Path, image: Decoded
    ) -> Result:
        spec = spec_of(self.head, reading, labels[0])
        model_input, transform = spec.preprocess.apply(image)
        key = (path, *list(reading.__dict__.values())[:INPUT_FIELDS])
        if key not in self._runs:
            self._runs[key] = self.foreign.run(self.session, fed(self.foreign, reading, model_input[None]))
        outputs = self.head.answer(self._runs[key], reading, labels[1])
        options = proof_options(spec.task, labels[0], self.reference).resolved(spec.defaults)
        first = {name: value[0] for name, value in outputs.items()}
        return result_for(self.reference.images[path], first, transform, spec, options)


def _nothing() -> Match:
    return Match(agreed=0, total=1, fit=[0.0])


def search(trials: Trials, start: Reading, *, log: Callable[[str], None] = lambda _: None) -> tuple[Reading, Match]:
    """Change one flag after the other, each time the one that brings the answers nearest to the reference's.

    Args:
        trials: what is run.
        start: the reading to begin with.
        log: gets a line after each round.

    Returns:
        The best reading that was found, and how it agrees with the first images.
    """
    best, found = start, trials.match(start)
    for _ in range(ROUNDS):
        if found.holds:
            break
        tried = [(trials.match(reading), reading) for reading in alternatives(best, trials.head)]
        if not tried:
            break
        match_, reading = max(tried, key=lambda pair: (pair[0].share, pair[0].closeness))
        if (match_.share, match_.closeness) <= (found.share, found.closeness):
            break
        best, found = reading, match_
        log(f"{best.differences(start)}: {found.share:.1%} agree")
    return best, found


def alternatives(reading: Reading, head: Head) -> Iterator[Reading]:
    """Readings with one choice changed, of those that matter to these outputs."""
    seen = {reading}
    for change in [*_input_changes(reading), *_output_changes(head)]:
        other = replace(reading, **change)
        if other not in seen:
            seen.add(other)
            yield other


def _input_changes(reading: Reading) -> Iterator[dict[str, Any]]:
    yield {"colour": "bgr" if reading.colour == "rgb" else "rgb"}
    yield from NORMALISATIONS
    letterbox: dict[str, Any] = {"resize": "letterbox", "shorter_side": None}
    yield letterbox | {"pad_position": "center", "rounding": "half_even"}
    yield letterbox | {"pad_position": "top-left", "rounding": "down"}
    yield {"resize": "stretch", "shorter_side": None}
    for ratio in CROPS:
        yield {"resize": "center-crop", "shorter_side": int(max(reading.input_size) * ratio)}
    for interpolation in CHOICES["interpolation"]:
        yield {"interpolation": interpolation}
    if reading.resize == "letterbox":
        for value in (0, 114, 127, 128, 255):
            yield {"pad_value": value}
    if reading.resize != "stretch":
        for rounding in CHOICES["rounding"]:
            yield {"rounding": rounding}


def _output_changes(head: Head) -> Iterator[dict[str, Any]]:
    objects = task_of(head.task).has_objects
    if not objects or isinstance(head, DetrHead):
        for activation in ("none", "softmax", "sigmoid"):
            yield {"activation": activation}
    if isinstance(head, DetrHead | SelectedHead | EndToEndHead):
        for offset in (0, 1):
            yield {"class_offset": offset}
    if objects:
        for scale in ("own", "common"):
            yield {"box_scale": scale}
        for nms in CHOICES["nms"]:
            yield {"nms": nms}
        for threshold in (0.45, 0.5, 0.6, 0.65, 0.7):
            yield {"iou_threshold": threshold}
