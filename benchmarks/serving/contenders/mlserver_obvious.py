"""MLServer with a custom runtime and the V2 inference protocol: an image in base64 in JSON."""

import json

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from obvious import Detector


class Runtime(MLModel):
    async def load(self) -> bool:
        self.detector = Detector(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        (image,) = Base64Codec.decode_input(payload.inputs[0])
        found = json.dumps(self.detector(image))
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("detections", [found])])
