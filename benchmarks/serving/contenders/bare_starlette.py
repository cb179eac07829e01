"""Starlette without a model: reads the body, responds with as many bytes as a result has. Least possible cost."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PORT, ANSWER_BYTES = int(sys.argv[1]), 1500


async def detect(request: Request) -> Response:
    await request.body()
    return Response(b"x" * ANSWER_BYTES, media_type="application/json")


uvicorn.run(Starlette(routes=[Route("/detect", detect, methods=["POST"])]), port=PORT, log_level="error")
