"""BentoML's typed API: an image in, a list out."""

import os
from typing import Any

import bentoml
from obvious import Detector
from PIL.Image import Image


@bentoml.service(name="detector", workers=1)
class Service:
    def __init__(self) -> None:
        self.detector = Detector(os.environ["PACKAGE"])

    @bentoml.api
    def detect(self, image: Image) -> list[dict[str, Any]]:
        return self.detector(image)
