"""FastAPI in the form of its tutorial: a file upload and a plain function, which runs in a thread."""

import sys

import uvicorn
from fastapi import FastAPI, UploadFile
from obvious import Detector

PORT, PACKAGE = int(sys.argv[1]), sys.argv[2]
app = FastAPI()
detector = Detector(PACKAGE)


@app.post("/detect")
def detect(image: UploadFile) -> list[dict]:
    return detector(image.file.read())


uvicorn.run(app, port=PORT, log_level="error")
