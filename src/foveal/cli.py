"""Command-line entry point: names each command and loads it only when it is called.

`foveal --help` therefore never imports NumPy, ONNX Runtime or torch (a test holds that).
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

from foveal import __version__
from foveal.errors import FovealError, GoldenMismatch, ParityFailure


@dataclass(frozen=True)
class Command:
    """A command: where its function lives, what it is for, and the extra that it needs."""

    where: str  # "module:function"
    summary: str
    extra: str | None = None  # named when its import fails


COMMANDS: dict[str, Command] = {
    "predict": Command("foveal.commands.predict:predict", "Run a model over files, folders and globs."),
    "data synth": Command("foveal.commands.synth:synth", "Draw a data set with exact ground truth."),
    "data check": Command("foveal.models.commands.check:check", "Look for faults in a data set.", "train"),
    "data convert": Command("foveal.models.commands.convert:convert", "Write a data set in another layout.", "train"),
    "data view": Command(
        "foveal.models.commands.view:view", "Look at a data set: truths, augmentation, figures.", "train"
    ),
    "data anchors": Command("foveal.models.commands.anchors:anchors", "Judge, tune and try out anchors.", "train"),
    "models": Command("foveal.commands.models:models", "List the models of the zoo."),
    "train": Command("foveal.models.commands.train:train", "Fine-tune a network on your images.", "train"),
    "recipe show": Command(
        "foveal.models.commands.recipe:show", "Print a resolved recipe, every field explained.", "train"
    ),
    "diagnose": Command("foveal.models.commands.diagnose:diagnose", "Six checks before a long training.", "train"),
    "tune": Command("foveal.models.commands.diagnose:tune", "Search the best recipe, coarse then fine.", "train"),
    "evaluate": Command("foveal.export.commands:evaluate", "Score a package or a training run on a data set.", "train"),
    "export": Command("foveal.export.commands:export", "Turn a training run into a proved package.", "train"),
    "ensemble": Command("foveal.export.commands:ensemble", "Serve the mean of several classifiers as one.", "train"),
    "verify": Command("foveal.commands.verify:verify", "Prove a model package again, without torch."),
    "serve": Command("foveal.service.commands:serve", "Serve every model of the zoo over HTTP.", "serve"),
    "bench": Command("foveal.service.loadtest.commands:bench", "Find out how much load a service can take.", "serve"),
}
NEGATIVE = (ParityFailure, GoldenMismatch)  # the command did its work and the answer is no: exit 1, not 2


def main() -> None:
    """Entry point of the `foveal` script: exits 0 done, 1 the answer is no (or some images failed), 2 could not run."""
    try:
        with _extras_named(sys.argv[1:]):
            build(sys.argv[1:])(prog_name="foveal")
    except FovealError as error:
        typer.echo(f"foveal: {error.title}: {error}", err=True)
        sys.exit(1 if isinstance(error, NEGATIVE) else 2)
    except BrokenPipeError:  # `foveal predict … | head` is no fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@contextmanager
def _extras_named(argv: list[str]) -> Iterator[None]:
    """A missing library is a line that names the extra, also where a command imports it while it runs."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = next((c.extra for path, c in COMMANDS.items() if argv[: len(path.split())] == path.split()), None)
        if extra is None or (error.name or "foveal").startswith("foveal"):
            raise
        raise FovealError(f"this command needs {error.name!r}: pip install 'foveal[{extra}]'") from None


def build(argv: list[str]) -> typer.Typer:
    """The Typer application; only the command that argv names is loaded, the others are names with a summary."""
    app = _group("Fine-tuned vision models into production.")
    app.callback()(_root)
    groups: dict[str, typer.Typer] = {}
    for path, command in COMMANDS.items():
        words = path.split()
        if len(words) > 1 and words[0] not in groups:
            groups[words[0]] = _group(GROUPS[words[0]])
            app.add_typer(groups[words[0]], name=words[0])
        parent = groups[words[0]] if len(words) > 1 else app
        if argv[: len(words)] == words:
            parent.command(words[-1])(_load(command))
        else:
            parent.command(words[-1], help=command.summary)(_not_loaded)
    return app


GROUPS = {"data": "Make, check and look at data sets.", "recipe": "Look at the numbers of a training."}


def _group(summary: str) -> typer.Typer:
    return typer.Typer(
        help=summary, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )


def _load(command: Command) -> Callable[..., Any]:
    module, function = command.where.split(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return loaded


def _not_loaded() -> None:
    raise AssertionError("a command that argv did not name was called")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"foveal {__version__}")
        raise typer.Exit


def _root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print it.")) -> None:
    """Fine-tuned vision models into production."""
