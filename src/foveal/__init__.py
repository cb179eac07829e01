"""Foveal: fine-tuned vision models into production.

import foveal
foveal.load("sign-digits")("photo.jpg").label
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from foveal.inference.pipeline import Predictor

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(model: str, *, zoo: "Path | str | None" = None, provider: str = "cpu") -> "Predictor":
    """Open a model package and make it ready to predict.

    Args:
        model: `name` or `name@version` of the zoo, or a package folder.
        zoo: the zoo's folder; default FOVEAL_ZOO, else ./zoo.
        provider: cpu, cuda, tensorrt or openvino; anything else than what was asked for is an error.

    Returns:
        A callable: image (bytes, path or (H, W, 3) uint8 RGB array) -> result.
    """
    from foveal.inference.pipeline import Predictor
    from foveal.inference.session import SessionSettings
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate

    return Predictor(ModelPackage.open(locate(model, zoo)), SessionSettings(provider=provider))
