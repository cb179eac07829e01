"""Flags of `foveal import`: their types, and their texts as values (`reading_fields`)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from foveal.export.importing.scripts import SCRIPTS

CHOICES: Mapping[str, tuple[str, ...]] = {  # of flags that take one of a few words
    "colour": ("rgb", "bgr"),
    "resize": ("letterbox", "stretch", "center-crop", "shorter-side"),
    "pad_position": ("center", "top-left"),
    "rounding": ("half_even", "half_up", "down"),
    "interpolation": ("bilinear", "pillow-bilinear", "pillow-bicubic", "area"),
    "box_scale": ("own", "common"),
    "activation": ("none", "softmax", "sigmoid"),
    "nms": ("none", "per-class", "per-class-offset", "agnostic"),
}
MAX_SIDE = 4096  # of a model input
FAMILY_NAMES = "auto | ultralytics | yolox | detr | rtdetr | rfdetr | timm | torchvision | hf | smp | keras"
TASKS = "object-detection | classification | semantic-segmentation"

Model = Annotated[Path | None, typer.Argument(metavar="MODEL.onnx", help="The file; external data beside it.")]
Out = Annotated[Path | None, typer.Option(help="The package: zoo/NAME/VERSION; must not exist.")]
Family = Annotated[str, typer.Option("--as", help=FAMILY_NAMES)]
Task = Annotated[str | None, typer.Option(help=f"{TASKS}: where the outputs allow several.")]
Labels = Annotated[
    str | None, typer.Option(help="a,b,c or a file: a label a line, JSON (also config.json's id2label), data.yaml.")
]
InputSize = Annotated[str | None, typer.Option(metavar="HxW", help="Of files that take images of any size.")]
Mean = Annotated[str | None, typer.Option(help="Three numbers, subtracted after --scale, as 0.485,0.456,0.406.")]
Std = Annotated[str | None, typer.Option(help="Three numbers, divided by after that.")]
Scale = Annotated[str | None, typer.Option(help="Pixel values 0..255 are multiplied by it: 1/255 or 1.")]
Colour = Annotated[str | None, typer.Option(help="rgb | bgr: order of the channels.")]
Resize = Annotated[str | None, typer.Option(help="letterbox | stretch | center-crop | shorter-side")]
ShorterSide = Annotated[int | None, typer.Option(min=1, help="center-crop: the shorter side's pixels before the crop.")]
PadValue = Annotated[int | None, typer.Option(min=0, max=255, help="letterbox: grey of the padding.")]
PadPosition = Annotated[str | None, typer.Option(help="letterbox: center | top-left, where the image is.")]
Rounding = Annotated[
    str | None, typer.Option(help="half_even | half_up | down: letterbox, of its sides; center-crop, of its place.")
]
BoxScale = Annotated[
    str | None,
    typer.Option(help="letterbox: own | common, the scale that boxes go back by; common before 8.4 of Ultralytics."),
]
Interpolation = Annotated[str | None, typer.Option(help="bilinear | pillow-bilinear | pillow-bicubic | area")]
Activation = Annotated[str | None, typer.Option(help="none | softmax | sigmoid: what the scores still need.")]
ClassOffset = Annotated[int | None, typer.Option(min=0, help="The graph's number for the first label.")]
Nms = Annotated[
    str | None, typer.Option(help="none | per-class | per-class-offset | agnostic: what is left to do after the graph.")
]
IouThreshold = Annotated[float | None, typer.Option(min=0, max=1, help="Of NMS: the default of the package.")]
ScoreThreshold = Annotated[float, typer.Option(min=0, max=1, help="The default of the package.")]
Reference = Annotated[
    Path | None, typer.Option(help="The framework's own answers: Foveal entries, COCO results, CSV, or PNG maps.")
]
Images = Annotated[Path | None, typer.Option(help="Folder of the images that --reference is of.")]
Framework = Annotated[str, typer.Option(help="What made the reference, with its version; for the card.")]
Unproved = Annotated[bool, typer.Option("--unproved", help="Import without a reference; the card says so.")]
ReferenceScript = Annotated[
    str | None, typer.Option(help=f"Print a script that makes a reference, and stop: {' | '.join(SCRIPTS)}")
]
License = Annotated[str, typer.Option("--license", help="Of the weights; default what the file says.")]
About = Annotated[str, typer.Option(help="What the model is for, in your words; goes on the card.")]
Example = Annotated[
    list[Path] | None, typer.Option("--example", metavar="IMAGE", help="Shown by the playground; several times.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how the file is read, and write nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def reading_fields(**flags: Any) -> dict[str, Any]:
    """Fields of a reading, by flag; None was not given.

    Raises:
        typer.BadParameter: a text that is no such value; what was expected is said.
    """
    numbers = {"mean": _three("--mean", flags["mean"]), "std": _three("--std", flags["std"])}
    values = {"input_size": _size(flags["input_size"]), "scale": _scale(flags["scale"])} | numbers
    return flags | values | _words({name: value for name, value in flags.items() if name in CHOICES})


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    sides = text.lower().split("x")
    if not all(side.isdecimal() and 0 < int(side) <= MAX_SIDE for side in sides) or len(sides) > 2:
        raise typer.BadParameter(
            f"--input-size: expected HxW in pixels, as 480x640, at most {MAX_SIDE}, got {text!r:.40}"
        )
    return int(sides[0]), int(sides[-1])


def _three(flag: str, text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3) or not all(map(math.isfinite, values)) or (flag == "--std" and min(values) <= 0):
        above = " above 0" if flag == "--std" else ""
        raise typer.BadParameter(f"{flag}: expected one or three numbers{above} with commas between, got {text!r}")
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


def _words(given: dict[str, str | None]) -> dict[str, str | None]:
    for name, value in given.items():
        if value is not None and value not in CHOICES[name]:
            flag = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(f"{flag}: expected one of {', '.join(CHOICES[name])}, got {value!r}")
    return given
