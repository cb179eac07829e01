"""A process with the toy task registered: `drive.py foveal WORDS…`, or `drive.py serve ZOO IMAGE` for HTTP answers.

A process of its own, since the service reads the registry when it is imported.
"""

import asyncio
import json
import sys
from pathlib import Path

from tests.helpers.toy import register


async def ask(zoo: Path, image: Path) -> dict:
    """What the service says about its models and an image, over HTTP, in this process."""
    import httpx

    from foveal.service.application import Application
    from foveal.service.settings import Settings

    application = Application(Settings(zoo=zoo))
    async with application.lifespan():
        while not application.models.loaded:
            await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.post("/v1/measure", content=image.read_bytes())
            drawn = await client.post("/v1/measure", content=image.read_bytes(), headers={"accept": "image/png"})
            wrong = await client.post("/v1/measure?top_k=3", content=image.read_bytes())
            return {
                "status": answer.status_code,
                "answer": answer.text,
                "drawn": [drawn.status_code, drawn.headers["content-type"], len(drawn.content)],
                "wrong": wrong.json(),
                "models": (await client.get("/v1/models")).json(),
                "openapi": (await client.get("/v1/openapi.json")).json(),
                "docs": (await client.get("/v1/docs")).status_code,
            }


if __name__ == "__main__":
    register(training=sys.argv[2] in ("train", "export", "evaluate"))
    if sys.argv[1] == "serve":
        print(json.dumps(asyncio.run(ask(Path(sys.argv[2]), Path(sys.argv[3])))))
    else:
        from foveal.cli import main

        sys.argv = sys.argv[1:]
        main()
