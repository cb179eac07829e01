"""FastAPI around Foveal's core: separates the server's cost from the pipeline's."""

import sys

import uvicorn
from fastapi import FastAPI, Response, UploadFile

from foveal.formats import Entry, entry_bytes
from foveal.inference.pipeline import Predictor
from foveal.inference.session import SessionSettings
from foveal.options import Options
from foveal.packages.package import ModelPackage

PORT, PACKAGE = int(sys.argv[1]), sys.argv[2]
app = FastAPI()
predictor = Predictor(ModelPackage.open(PACKAGE), SessionSettings(threads=1))
options = Options().resolved(predictor.spec.defaults)


@app.post("/detect")
def detect(image: UploadFile) -> Response:
    result = predictor(image.file.read())
    body = entry_bytes(Entry(image.filename, result), predictor.task.name, options)
    return Response(body, media_type="application/json")


uvicorn.run(app, port=PORT, log_level="error")
