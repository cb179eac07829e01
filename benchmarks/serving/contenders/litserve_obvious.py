"""LitServe in the form of its documentation: an image in base64 in JSON."""

import base64
import sys
from typing import Any

import litserve
from obvious import Detector

PORT, PACKAGE = int(sys.argv[1]), sys.argv[2]


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.detector = Detector(PACKAGE)

    def decode_request(self, request: dict[str, Any]) -> bytes:
        return base64.b64decode(request["image"])

    def predict(self, image: bytes) -> list[dict]:
        return self.detector(image)

    def encode_response(self, output: list[dict]) -> dict[str, Any]:
        return {"detections": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(api_path="/detect"), accelerator="cpu", workers_per_device=1)
    server.run(port=PORT, generate_client_file=False, log_level="error")
