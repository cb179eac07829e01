"""`foveal import`. Heavy imports stand inside the function, so that `--help` stays instant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveal.export.importing.scripts import SCRIPTS

if TYPE_CHECKING:
    from foveal.export.importing.build import Plan, Request

FAMILY_NAMES = "auto | ultralytics | yolox | detr | rtdetr | rfdetr | timm | torchvision | hf | smp | keras"
TASKS = "object-detection | classification | semantic-segmentation"


def import_(
    model: Annotated[Path | None, typer.Argument(metavar="MODEL.onnx", help="The file; external data beside it.")] = None,
    out: Annotated[Path | None, typer.Option(help="The package: zoo/NAME/VERSION; must not exist.")] = None,
    family: Annotated[str, typer.Option("--as", help=FAMILY_NAMES)] = "auto",
    task: Annotated[str | None, typer.Option(help=f"{TASKS}: where the outputs allow several.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="a,b,c or a file: a label a line, JSON (also config.json's id2label), data.yaml.")
    ] = None,
    input_size: Annotated[str | None, typer.Option(metavar="HxW", help="Of files that take images of any size.")] = None,
    mean: Annotated[str | None, typer.Option(help="Three numbers, subtracted after --scale, as 0.485,0.456,0.406.")] = None,
    std: Annotated[str | None, typer.Option(help="Three numbers, divided by after that.")] = None,
    scale: Annotated[str | None, typer.Option(help="Pixel values 0..255 are multiplied by it: 1/255 or 1.")] = None,
    colour: Annotated[str | None, typer.Option(help="rgb | bgr: order of the channels.")] = None,
    resize: Annotated[str | None, typer.Option(help="letterbox | stretch | center-crop | shorter-side")] = None,
    shorter_side: Annotated[
        int | None, typer.Option(min=1, help="center-crop: the shorter side's pixels before the crop.")
    ] = None,
    pad_value: Annotated[int | None, typer.Option(min=0, max=255, help="letterbox: grey of the padding.")] = None,
    pad_position: Annotated[str | None, typer.Option(help="letterbox: center | top-left, where the image is.")] = None,
    pad_rounding: Annotated[str | None, typer.Option(help="letterbox: half_even | half_up | down, of its sides.")] = None,
    interpolation: Annotated[str | None, typer.Option(help="bilinear | pillow-bilinear | pillow-bicubic | area")] = None,
    activation: Annotated[str | None, typer.Option(help="none | softmax | sigmoid: what the scores still need.")] = None,
    class_offset: Annotated[int | None, typer.Option(min=0, help="The graph's number for the first label.")] = None,
    nms: Annotated[str | None, typer.Option(help="none | per-class | agnostic: what is left to do after the graph.")] = None,
    iou_threshold: Annotated[float | None, typer.Option(min=0, max=1, help="Of NMS: the default of the package.")] = None,
    score_threshold: Annotated[float, typer.Option(min=0, max=1, help="The default of the package.")] = 0.25,
    reference: Annotated[
        Path | None, typer.Option(help="The framework's own answers: Foveal entries, COCO results, CSV, or PNG maps.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images that --reference is of.")] = None,
    framework: Annotated[str, typer.Option(help="What made the reference, with its version; for the card.")] = "",
    unproved: Annotated[bool, typer.Option("--unproved", help="Import without a reference; the card says so.")] = False,
    reference_script: Annotated[
        str | None, typer.Option(help=f"Print a script that makes a reference, and stop: {' | '.join(SCRIPTS)}")
    ] = None,
    license_: Annotated[str, typer.Option("--license", help="Of the weights; default what the file says.")] = "",
    about: Annotated[str, typer.Option(help="What the model is for, in your words; goes on the card.")] = "",
    example: Annotated[
        list[Path] | None, typer.Option("--example", metavar="IMAGE", help="Shown by the playground; several times.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how the file is read, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
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
    given = {
        "input_size": _size(input_size),
        "mean": _three("--mean", mean),
        "std": _three("--std", std),
        "scale": _scale(scale),
        **_words(
            colour=colour,
            resize=resize,
            pad_position=pad_position,
            pad_rounding=pad_rounding,
            interpolation=interpolation,
            activation=activation,
            nms=nms,
        ),
        "shorter_side": shorter_side,
        "pad_value": pad_value,
        "class_offset": class_offset,
        "iou_threshold": iou_threshold,
    }
    request = _request(
        model,
        given,
        labels=labels,
        reference=reference,
        images=images,
        framework=framework,
        fields={
            "family": _family(family),
            "task": task,
            "unproved": unproved,
            "score_threshold": score_threshold,
            "licence": license_,
            "about": about,
            "examples": example or (),
        },
    )
    _run(request, None if dry_run else out, as_json=as_json)


def _run(request: Request, out: Path | None, *, as_json: bool) -> None:
    """Import, or with `out` None say what would be."""
    from foveal.export.importing.build import import_model, plan
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
    found = {"package": manifest.ref, "path": str(out), "digest": digest, "parity": manifest.parity.model_dump(mode="json")}
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
    *,
    labels: str | None,
    reference: Path | None,
    images: Path | None,
    framework: str,
    fields: dict[str, Any],
) -> Request:
    from foveal.export.importing.build import Request
    from foveal.export.importing.foreign import read_foreign
    from foveal.export.importing.labels import labels_of, read_labels
    from foveal.export.importing.reference import read_reference

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


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = text.lower().split("x")
    if not all(side.isdigit() and int(side) > 0 for side in sides) or len(sides) > 2:
        raise typer.BadParameter(f"--input-size: expected HxW in pixels, as 480x640, got {text!r}")
    return int(sides[0]), int(sides[-1])


def _three(flag: str, text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise typer.BadParameter(f"{flag}: expected one or three numbers with commas between, got {text!r}")
    first, second, third = values * (3 // len(values))
    return first, second, third


def _scale(text: str | None) -> float | None:
    if text is None:
        return None
    above, _, below = text.partition("/")
    try:
        value = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        value = 0.0
    if not 0 < value < 1e6:
        raise typer.BadParameter(f"--scale: expected a number such as 1/255 or 1, got {text!r}")
    return value


def _words(**given: str | None) -> dict[str, str | None]:
    from foveal.export.importing.reading import CHOICES

    for name, value in given.items():
        if value is not None and value not in CHOICES[name]:
            flag = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{flag}: expected one of {', '.join(CHOICES[name])}, got {value!r}")
    return given


def _log(line: str) -> None:
    typer.echo(line, err=True)
