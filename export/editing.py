"""Editing of packages (`edit`): a new version of a package with the same graph, byte for byte.

What a graph computes cannot be edited; what is said and done around it can: defaults of the options, names of classes,
classes that are left out, example images. The new package's golden results are made anew, after the old package has
reproduced its own on this machine.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from foveal.errors import BadRequest, UnknownName
from foveal.export.card import about_of, card
from foveal.export.writing import Target, answered, example_images, golden_files, write_verified
from foveal.inference.pipeline import Pipeline, Predictor
from foveal.inference.verify import check_golden
from foveal.options import OPTIONS, Options, OptionValues
from foveal.packages.manifest import Edited, Manifest, Metrics, PipelineSpec
from foveal.packages.package import ModelPackage
from foveal.tasks import task_of

EDITABLE = ("top_k", "score_threshold", "iou_threshold", "max_detections", "mask_format", "classes")  # of Defaults


def edit(
    package: ModelPackage,
    target: Target,
    *,
    defaults: OptionValues | None = None,
    labels: Mapping[str, str] | None = None,
    examples: Sequence[Path] | None = None,
    about: str | None = None,
) -> str:
    """Write a package anew with other defaults, names or examples.

    Args:
        package: the opened package; it stays as it is.
        target: where to; usually the same name and the next version.
        defaults: of the per-request options. `classes` leaves all others out (objects only), unless a request names
            them; their figures stay on the card. A classifier's and a class map's classes compete for each image or
            pixel, so none can be left out.
        labels: old label -> new label.
        examples: images that the playground shows for this model, instead of those so far.
        about: what the model is for, instead of the card's words so far.

    Returns:
        The package's digest.

    Raises:
        BadRequest: an option that the task does not have, or a value out of range. UnknownName: no such label.
        GoldenMismatch: the package does not reproduce its golden results on this machine. BadImage, BadOutput,
            BadPackage: examples that cannot be read; a target that exists; labels that would not differ.
    """
    old = package.manifest
    before = Predictor(package)
    check_golden(before)
    renamed = {label: (labels or {}).get(label, label) for label in old.labels}
    spec, changes = _edited(old.pipeline, defaults or {}, labels or {}, renamed)
    drawings = {} if examples is None else example_images(examples)
    kept = {golden.name: golden.image for golden in package.golden}
    if examples is not None:
        kept = {name: image for name, image in kept.items() if name not in old.examples}
        changes["examples"] = f"{len(drawings)} images"
    pipeline = Pipeline(spec, before.session, before.provider)
    golden = answered(pipeline, kept) | golden_files(pipeline, drawings)
    all_changes = (old.edited.changes if old.edited else {}) | changes
    manifest = old.model_copy(
        update={
            "name": target.name,
            "version": target.version,
            "pipeline": spec,
            "metrics": _renamed_metrics(old, renamed),
            "examples": old.examples if examples is None else tuple(drawings),
            "edited": Edited(ref=old.ref, digest=package.digest, changes=all_changes),
        }
    )
    text = card(manifest, about=about_of(package.card, old) if about is None else about)
    return write_verified(target, manifest, package.take_graph(), text, golden)


def _edited(
    spec: PipelineSpec, defaults: OptionValues, labels: Mapping[str, str], renamed: Mapping[str, str]
) -> tuple[PipelineSpec, dict[str, str]]:
    """The spec with other defaults and labels; and what changed, in words."""
    for label in labels:
        if label not in spec.labels:
            raise UnknownName.among("label", label, spec.labels)
    names = tuple(renamed.values())
    values = _checked(spec.task, defaults, names)
    changes = {name: f"{getattr(spec.defaults, name)} → {value}" for name, value in values.items()}
    changes |= {f"label {old}": new for old, new in renamed.items() if old != new}
    now = spec.defaults.model_dump() | values
    if now["classes"] and "classes" not in values:
        now["classes"] = tuple(renamed[label] for label in now["classes"])
    try:
        return PipelineSpec(**(dict(spec) | {"labels": names, "defaults": now})), changes
    except ValidationError as error:
        raise BadRequest("; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors())) from None


def _checked(task: str, defaults: OptionValues, labels: Collection[str]) -> dict[str, Any]:
    """Values that the task's options take."""
    applicable = task_of(task).option_names & set(EDITABLE)
    options = Options(**defaults).checked(applicable=applicable, labels=labels)
    return {name: value for name, value in options.given().items() if name in OPTIONS}


def _renamed_metrics(old: Manifest, renamed: Mapping[str, str]) -> Metrics | None:
    if old.metrics is None:
        return None
    per_class = {renamed.get(label, label): figures for label, figures in old.metrics.per_class.items()}
    return old.metrics.model_copy(update={"per_class": per_class})
