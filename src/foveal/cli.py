"""Command-line entry point: names each command and loads it only when it is called.

`foveal --help` therefore never imports NumPy, ONNX Runtime or torch (a test holds that).
"""

import errno
import importlib
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import typer

from foveal import __version__
from foveal.errors import BadOutput, FovealError, GoldenMismatch, ParityFailure
from foveal.extras import expect_libraries, naming_extras
from foveal.terminal import printable, say

TRAINING = ("torch", "torchvision", "lightning", "matplotlib", "onnx", "onnxscript", "onnxruntime")
SERVING = ("bentoml", "httptools", "prometheus_client", "pydantic_settings", "python_multipart", "starlette")


@dataclass(frozen=True)
class Command:
    """A command: where its function lives, what it is for, and what it needs beside the core."""

    where: str  # "module:function"
    summary: str
    extra: str = ""  # named when an import fails that no extra has by name
    needs: tuple[str, ...] = ()  # libraries that must be there from the start; hours of work may stand before their use


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
    "train": Command("foveal.models.commands.train:train", "Fine-tune a network on your images.", "train", TRAINING),
    "recipe show": Command(
        "foveal.models.commands.recipe:show", "Print a resolved recipe, every field explained.", "train"
    ),
    "diagnose": Command(
        "foveal.models.commands.diagnose:diagnose", "Six checks before a long training.", "train", TRAINING
    ),
    "tune": Command(
        "foveal.models.commands.diagnose:tune",
        "Search the best recipe, coarse then fine.",
        "train",
        (*TRAINING, "optuna"),
    ),
    "import": Command(
        "foveal.export.importing.commands:import_",
        "Turn somebody else's ONNX file into a proved package.",
        "import",
        ("onnx", "onnxruntime"),
    ),
    "evaluate": Command("foveal.export.commands:evaluate", "Score a package or a training run on a data set.", "train"),
    "compare": Command("foveal.export.comparison.commands:compare", "Say which of several models is better.", "train"),
    "export": Command("foveal.export.commands:export", "Turn a training run into a proved package.", "train", TRAINING),
    "package set": Command(
        "foveal.export.commands:package_set",
        "Edit a package: defaults, class names, examples.",
        "train",
        ("onnxruntime",),
    ),
    "ensemble": Command(
        "foveal.export.commands:ensemble",
        "Serve the mean of several classifiers as one.",
        "train",
        ("onnx", "onnxruntime"),
    ),
    "verify": Command("foveal.commands.verify:verify", "Prove a model package again, without torch."),
    "serve": Command(
        "foveal.service.commands:serve", "Serve every model of the zoo over HTTP.", "serve", (*SERVING, "onnxruntime")
    ),
    "bench": Command("foveal.service.loadtest.commands:bench", "Find out how much load a service can take.", "serve"),
}
NEGATIVE = (ParityFailure, GoldenMismatch)  # the command did its work and the answer is no: exit 1, not 2


UsageFault: type[Exception] = typer.BadParameter.__mro__[2]  # click's ClickException; Typer may bring one of its own
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE, errno.EROFS}  # of a place to write to


def main() -> None:
    """Entry point of the `foveal` script: exits 0 done, 1 the answer is no (or some images failed), 2 could not run."""
    try:
        code = build(sys.argv[1:])(prog_name="foveal", standalone_mode=False) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except FovealError as error:
        say(f"{error.title}: {error}")
        code = 1 if isinstance(error, NEGATIVE) else 2
    except UsageFault as error:
        code = _explain(error)
    except typer.Abort:
        code = 2
    except OSError as error:
        say(f"{_fault_of(error).title}: {_fault_of(error)}")
        code = 2
    _close_stdout()
    sys.exit(code)


def _explain(error: Any) -> int:
    """The answer to a wrong command line, with the usage; what it quotes may be the name of a file."""
    text = io.StringIO()
    error.show(file=text)
    print(*map(printable, text.getvalue().splitlines()), sep="\n", file=sys.stderr)
    return int(error.exit_code)


def _fault_of(error: OSError) -> FovealError:
    """A fault of the machine that no command has made its own."""
    where = f"{error.filename}: " if error.filename is not None else ""
    if error.errno in FULL:
        return BadOutput(f"{where or 'stdout or a file: '}expected a place that takes everything: {error.strerror}")
    return FovealError(f"{where}{error.strerror or error}")


def _close_stdout() -> None:
    """What stdout does not take was said already: Python shall not say it again when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


GROUPS = {
    "data": "Make, check and look at data sets.",
    "recipe": "Look at the numbers of a training.",
    "package": "Edit model packages.",
}


def _group(summary: str) -> typer.Typer:
    return typer.Typer(
        help=summary, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )


def _load(command: Command) -> Callable[..., Any]:
    """The function of a command, whose faults are FovealErrors: also a missing library, a full disk, a closed pipe."""
    module, function = command.where.split(":")
    with naming_extras(command.extra):
        expect_libraries(command.needs)
        loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)

    @wraps(loaded)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            with naming_extras(command.extra):
                return loaded(*arguments, **options)
        except OSError as error:
            raise _fault_of(error) from error

    return run


def _not_loaded() -> None:
    raise AssertionError("a command that argv did not name was called")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"foveal {__version__}")
        raise typer.Exit


def _root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print it.")) -> None:
    """Fine-tuned vision models into production."""
