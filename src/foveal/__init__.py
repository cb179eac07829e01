"""Foveal: fine-tuned vision models in production, with a proof. This module is the public Python API.

Names load lazily: `import foveal` imports neither OpenCV nor ONNX Runtime.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from foveal.errors import FovealError
    from foveal.inference.pipeline import Predictor
    from foveal.options import Options
    from foveal.results import Result
    from foveal.tasks.classification import Classification
    from foveal.tasks.detections import Detections
    from foveal.tasks.semantic_segmentation import SemanticMap

__version__ = "0.1.0"
__all__ = [
    "Classification",
    "Detections",
    "FovealError",
    "Options",
    "Predictor",
    "Result",
    "SemanticMap",
    "__version__",
    "list_models",
    "load",
]

_LAZY = {
    "Classification": "foveal.tasks.classification",
    "Detections": "foveal.tasks.detections",
    "FovealError": "foveal.errors",
    "Options": "foveal.options",
    "Predictor": "foveal.inference.pipeline",
    "Result": "foveal.results",
    "SemanticMap": "foveal.tasks.semantic_segmentation",
}


def load(
    name: "str | Path", *, zoo: "Path | str | None" = None, provider: str = "cpu", threads: int = 0
) -> "Predictor":
    """Open a model package and make it ready to predict.

    Args:
        name: `name` or `name@version` of the zoo, or a package folder. Without a version: the newest.
        zoo: the zoo's folder; default FOVEAL_ZOO, else ./zoo.
        provider: cpu, cuda, tensorrt or openvino; anything else than what was asked for is an error.
        threads: threads inside one operator; 0: one per physical core.

    Returns:
        A callable: image, or list of images -> result, or list of results (`Predictor.__call__`).

    Raises:
        UnknownName: no such model; the choices are listed. BadPackage: its files are not those that were proved.
        ProviderUnavailable: the execution provider does not run here.

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

    return Predictor(ModelPackage.open(locate(str(name), zoo)), SessionSettings(provider=provider, threads=threads))


def list_models(pattern: str = "*", *, zoo: "Path | str | None" = None) -> list[str]:
    """Names of the models in a zoo that `load` takes, sorted.

    Args:
        pattern: shell-style wildcard over the names: `*`, `?`, `[seq]`.
        zoo: the zoo's folder; default FOVEAL_ZOO, else ./zoo.

    Example:
        >>> import foveal
        >>> foveal.list_models("s*")
        ['shapes', 'sign-digits']
    """
    from fnmatch import fnmatchcase

    from foveal.packages.zoo import versions, zoo_folder

    return sorted(name for name in versions(zoo_folder(zoo)) if fnmatchcase(name, pattern))


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'foveal' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
