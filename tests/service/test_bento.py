"""Bento made by `bentoml build`, served from another folder. Builds a wheel and starts a server: slow."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.helpers.packages import png, write_colours

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_bento_serves_from_another_folder(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    shutil.copytree(ROOT / "requirements", project / "requirements")
    shutil.copy(ROOT / "bentofile.yaml", project)
    shutil.copy(ROOT / "README.md", project)
    write_colours(project / "zoo")
    elsewhere.mkdir()
    environment = os.environ | {"BENTOML_HOME": str(tmp_path / "bentos"), "BENTOML_DO_NOT_TRACK": "True"}
    bentoml = [sys.executable, "-m", "bentoml"]
    wheel = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(project / "dist"), str(ROOT)]
    subprocess.run(wheel, check=True, capture_output=True)
    subprocess.run([*bentoml, "build"], check=True, capture_output=True, cwd=project, env=environment)
    shutil.rmtree(project)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    serve = [*bentoml, "serve", "foveal:latest", "--host", "127.0.0.1", "--port", port]
    process = subprocess.Popen(serve, cwd=elsewhere, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not _ready(port):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/classify", content=png((0, 0, 255)))
        assert answer.json()["results"][0]["classes"][0]["label"] == "blue"
    finally:
        process.terminate()
        process.wait(60)


def _ready(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False
