"""docs/PYTHON.md's reference, made from the docstrings (`reference`); a test holds the page to it."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import foveal
from foveal.errors import FovealError

PAGE = Path(__file__).parent / "PYTHON.md"
MARKED = re.compile(r"(<!-- reference: .*? -->\n).*?(<!-- end of reference -->)", re.DOTALL)
NAMES: dict[str, tuple[str, ...]] = {  # public name -> members that have a section of their own
    "load": (),
    "list_models": (),
    "Predictor": ("__call__", "options"),
    "Options": (),
    "Result": ("to_dict", "rows", "summary", "draw", "to_pandas"),
    "Detections": ("bitmap", "to_supervision"),
    "DetectedObject": (),
    "Classification": ("to_supervision",),
    "ScoredClass": (),
    "SemanticMap": ("coverage", "to_supervision"),
    "FovealError": (),
}
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Example")
RAISED = ("BadImage", "UnsupportedImage", "ImageTooLarge", "BadRequest", "UnknownName", "BadPackage")
RAISED += ("ProviderUnavailable", "BadResult")


def page(text: str) -> str:
    """The page with a fresh reference; its hand-written head stays."""
    return MARKED.sub(lambda found: f"{found[1]}{reference()}\n{found[2]}", text)


def reference() -> str:
    """Markdown of every public name."""
    blocks = []
    for name, members in NAMES.items():
        subject = getattr(foveal, name)
        blocks += [f"## {name}", *_signature(name, subject), *_prose(subject)]
        for member in members:
            method = getattr(subject, member)
            title = "Calling a model" if member == "__call__" else f"{name}.{member}"
            blocks += [f"### {title}", *_signature(member, method), *_prose(method)]
        if subject is FovealError:
            blocks.append(_errors())
    return "\n\n".join(blocks)


def _signature(name: str, subject: Any) -> Iterator[str]:
    """As a caller writes it; results and errors are not made by callers."""
    if name == "Options":
        words = ", ".join(foveal.options.OptionValues.__annotations__)
        yield f"```python\nfoveal.Options(*, {words})\n```"
    elif inspect.isfunction(subject):
        owner = "model" if name == "__call__" else f"foveal.{name}" if subject.__module__ == "foveal" else f".{name}"
        yield f"```python\n{owner}({', '.join(_parameters(subject))})\n```"


def _parameters(function: Any) -> Iterator[str]:
    keyword_only = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        yield f"{'**' if parameter.kind is parameter.VAR_KEYWORD else ''}{parameter.name}{default}"


def _prose(subject: Any) -> Iterator[str]:
    """A Google-style docstring as blocks of Markdown."""
    title, lines = "", []
    for line in [*inspect.cleandoc(subject.__doc__).splitlines(), "End:"]:
        if line.rstrip(":") in (*SECTIONS, "End") and line.endswith(":"):
            yield from _section(title, textwrap.dedent("\n".join(lines)).strip())
            title, lines = line.rstrip(":"), []
        else:
            lines.append(line)


def _section(title: str, text: str) -> Iterator[str]:
    if title == "Example":
        shown = re.sub(r"  # doctest: .*", "", text)
        yield f"```pycon\n{shown}\n```"
    elif title in ("Args", "Attributes"):
        items = re.split(r"\n(?=\S)", text)
        yield "\n".join(f"- `{name}`: {_line(rest)}" for name, rest in (item.split(":", 1) for item in items))
    elif title == "Raises":
        marked = re.sub(r"(^|[.] )([A-Z][A-Za-z]+):", r"\1`\2`:", _line(text))  # names of errors
        yield f"*Raises* {marked}"
    elif title == "Returns":
        yield f"*Returns* {_line(text if text[1:2].isupper() else text[0].lower() + text[1:])}"
    elif text:
        yield "\n\n".join(_line(part) for part in text.split("\n\n"))


def _line(text: str) -> str:
    return " ".join(text.split())


def _errors() -> str:
    import foveal.errors as errors

    rows = [(name, getattr(errors, name)) for name in RAISED]
    lines = [f"| `{name}` | {_line(kind.__doc__.split(chr(10) * 2)[0])} |" for name, kind in rows]
    return "\n".join(["All of these are in `foveal.errors`:", "", "| error | when |", "|---|---|", *lines])
