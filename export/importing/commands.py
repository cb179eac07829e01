"""`foveal import`. Heavy imports stand inside the function, so that `--help` stays instant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from foveal.export.importing import flags
from foveal.export.importing.scripts import SCRIPTS

if TYPE_CHECKING:
    from foveal.export.importing.plan import Plan, Request


def import_(
    model: flags.Model = None,
    out: flags.Out = None,
    family: flags.Family = "auto",
    task: flags.Task = None,
    labels: flags.Labels = None,
    input_size: flags.InputSize = None,
    mean: flags.Mean = None,
    std: flags.Std = None,
    scale: flags.Scale = None,
    colour: flags.Colour = None,
    resize: flags.Resize = None,
    shorter_side: flags.ShorterSide = None,
    pad_value: flags.PadValue = None,
    pad_position: flags.PadPosition = None,
    rounding: flags.Rounding = None,
    interpolation: flags.Interpolation = None,
    box_scale: flags.BoxScale = None,
    activation: flags.Activation = None,
    class_offset: flags.ClassOffset = None,
    nms: flags.Nms = None,
    iou_threshold: flags.IouThreshold = None,
    score_threshold: flags.ScoreThreshold = 0.25,
    reference: flags.Reference = None,
    images: flags.Images = None,
    framework: flags.Framework = "",
    unproved: flags.Unproved = False,
    reference_script: flags.ReferenceScript = None,
    license_: flags.License = "",
    about: flags.About = "",
    example: flags.Example = None,
    dry_run: flags.DryRun = False,
    as_json: flags.AsJson = False,
) -> None:
    """Turn somebody else's ONNX file into a package that provably answers as its own framework does.

    Colours, scale, padding and the like are not in the file; each family has its framework's own, and flags change
    them. With --reference the package must give the framework's answers; where it does not, flags under which it would
    are looked for and named, nothing is written, and the exit code is 1.
    """
    if reference_script is not None:
        typer.echo(_script(reference_script))
        return
    if model is None or (out is None and not dry_run):
        raise typer.BadParameter("expected MODEL.onnx and --out zoo/NAME/VERSION (or --dry-run)")
    if unproved and reference is not None:
        raise typer.BadParameter("expected --reference FILE or --unproved, got both")
    given = flags.reading_fields(
        input_size=input_size, mean=mean, std=std, scale=scale, colour=colour, resize=resize, shorter_side=shorter_side,
        pad_value=pad_value, pad_position=pad_position, rounding=rounding, interpolation=interpolation,
        box_scale=box_scale, activation=activation, class_offset=class_offset, nms=nms, iou_threshold=iou_threshold,
    )  # fmt: skip
    fields: dict[str, Any] = {"family": _family(family), "task": task, "unproved": unproved}
    fields |= {"score_threshold": score_threshold, "licence": license_, "about": about, "examples": example or ()}
    request = _request(model, given, labels, reference, images, framework, fields)
    _run(request, None if dry_run else out, as_json=as_json)


def _run(request: Request, out: Path | None, *, as_json: bool) -> None:
    """Import, or with `out` None say what would be."""
    from foveal.export.importing.build import import_model
    from foveal.export.importing.plan import plan
    from foveal.export.writing import Target
    from foveal.packages.package import ModelPackage

    if out is None:
        found = _plan_object(plan(request))
        lines = (f"{name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in found.items())
        typer.echo(json.dumps(found) if as_json else "\n".join(lines))
        return
    digest = import_model(request, Target.of(out), log=_log)
    if not as_json:
        typer.echo(f"{out} {digest}")
        return
    manifest = ModelPackage.open(out, hold_graph=False).manifest
    assert manifest.imported is not None
    found = {
        "package": manifest.ref,
        "path": str(out),
        "digest": digest,
        "parity": manifest.parity.model_dump(mode="json"),
    }
    typer.echo(json.dumps(found | {"imported": manifest.imported.model_dump(mode="json")}))


def _plan_object(found: Plan) -> dict[str, Any]:
    reading = {flag: value for flag, value in found.reading.words().items() if value != "None"}
    return {
        "file": found.foreign.name,
        "family": found.family,
        "task": found.head.task,
        "outputs": found.head.name,
        "input": f"{found.foreign.images.name}, {found.foreign.images.layout()} {found.foreign.images.dtype}",
        "reading": " ".join(f"{flag} {value}" for flag, value in reading.items()),
        "max_batch": found.probed.max_batch,
        "labels": list(found.labels),
        "notes": list(found.notes),
    }


def _request(
    model: Path,
    given: dict[str, Any],
    labels: str | None,
    reference: Path | None,
    images: Path | None,
    framework: str,
    fields: dict[str, Any],
) -> Request:
    from foveal.export.importing.foreign import read_foreign
    from foveal.export.importing.labels import labels_of, read_labels
    from foveal.export.importing.plan import Request
    from foveal.export.importing.proof.reference import read_reference

    if (reference is None) != (images is None):
        raise typer.BadParameter("expected --reference FILE and --images DIR together")
    named = read_labels(labels) if labels is not None else None
    known = named or (labels_of(read_foreign(model).metadata) if reference is not None else None)
    answers = None
    if reference is not None and images is not None:
        answers = read_reference(reference, images, framework=framework, labels=known)
    return Request(model, labels=named, given=given, reference=answers, **fields)


def _script(name: str) -> str:
    if name not in SCRIPTS:
        raise typer.BadParameter(f"--reference-script: expected one of {', '.join(SCRIPTS)}, got {name!r}")
    return SCRIPTS[name]


def _family(name: str) -> str:
    from foveal.export.importing.families.families import FAMILIES

    if name != "auto" and name not in FAMILIES:
        raise typer.BadParameter(f"--as: expected auto or one of {', '.join(FAMILIES)}, got {name!r}")
    return name


def _log(line: str) -> None:
    typer.echo(line, err=True)
