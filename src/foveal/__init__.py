"""Foveal: fine-tuned vision models in production, with a proof. This module is the public Python API.

Names load lazily: `import foveal` imports neither OpenCV nor ONNX Runtime.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from foveal.errors import FovealError
    from foveal.inference.pipeline import Predictor
    from foveal.options import Options
    from foveal.results import Result
    from foveal.tasks.classification import Classification, ScoredClass
    from foveal.tasks.detections import DetectedObject, Detections
    from foveal.tasks.semantic_segmentation import SemanticMap

__version__ = "0.1.0"
__all__ = [
    "Classification",
    "DetectedObject",
    "Detections",
    "FovealError",
    "Options",
    "Predictor",
    "Result",
    "ScoredClass",
    "SemanticMap",
    "__version__",
    "list_models",
    "load",
]

_LAZY = {
    "Classification": "foveal.tasks.classification",
    "DetectedObject": "foveal.tasks.detections",
    "Detections": "foveal.tasks.detections",
    "FovealError": "foveal.errors",
    "Options": "foveal.options",
    "Predictor": "foveal.inference.pipeline",
    "Result": "foveal.results",
    "ScoredClass": "foveal.tasks.classification",
    "SemanticMap": "foveal.tasks.semantic_segmentation",
}


def load(
    name: "str | os.PathLike[str]",
    *,
    zoo: "str | os.PathLike[str] | None" = None,
    provider: str = "cpu",
    threads: int = 0,
) -> "Predictor":
    """Open a model package, check every byte of it, and make it ready to predict.

    Args:
        name: `name` or `name@version` of the zoo, or a package folder. Without a version: the newest.
        zoo: the zoo's folder; default FOVEAL_ZOO, else ./zoo.
        provider: cpu, cuda, tensorrt or openvino. What does not run here is an error: nothing falls back to the CPU.
        threads: threads inside one operator, 0..1024; 0: one per physical core.

    Returns:
        A callable: image, or list of images -> result, or list of results.

    Raises:
        UnknownName: no such model, version or provider; the choices are listed. BadPackage: the files are not those
            that were proved. ProviderUnavailable: the execution provider does not run here. BadRequest: an argument of
            the wrong type or out of range.

    Example:
        >>> import foveal
        >>> model = foveal.load("shapes")
        >>> model("examples/shapes.png").label
        'star'
    """
    from foveal.inference.pipeline import Predictor
    from foveal.inference.session import SessionSettings
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate

    settings = SessionSettings(provider=provider, threads=threads)
    return Predictor(
        ModelPackage.open(locate(_path("name", name), None if zoo is None else _path("zoo", zoo))), settings
    )


def list_models(pattern: str = "*", *, zoo: "str | os.PathLike[str] | None" = None) -> list[str]:
    """Names of the models in a zoo that `load` takes.

    Args:
        pattern: shell-style wildcard over the names: `*`, `?`, `[seq]`.
        zoo: the zoo's folder; default FOVEAL_ZOO, else ./zoo.

    Returns:
        The names, sorted; [] where none matches.

    Raises:
        BadPackage: the zoo is no folder. BadRequest: an argument of the wrong type.

    Example:
        >>> import foveal
        >>> foveal.list_models("s*")
        ['shapes', 'sign-digits']
    """
    from fnmatch import fnmatchcase

    from foveal.errors import BadPackage
    from foveal.packages.zoo import versions, zoo_folder

    folder = zoo_folder(None if zoo is None else _path("zoo", zoo))
    if not folder.is_dir():
        raise BadPackage(f"{folder.absolute()}: expected a zoo's folder, got none; say zoo=, or set FOVEAL_ZOO")
    wanted = _path("pattern", pattern)
    return sorted(name for name in versions(folder) if fnmatchcase(name, wanted))


def _path(parameter: str, value: object) -> str:
    import os

    from foveal.errors import BadRequest

    if not isinstance(value, str | os.PathLike):
        raise BadRequest(f"{parameter}: expected text or a path, got {value!r:.60}")
    return os.fsdecode(value)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'foveal' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """Also the names that are not loaded yet, for completion."""
    return sorted({*globals(), *__all__})
