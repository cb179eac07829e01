"""`foveal serve` as a process: start, refusal to start, Ctrl-C and SIGTERM."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.helpers.packages import png, write_colours
from tests.helpers.servers import Server

FOVEAL = str(Path(sys.executable).parent / "foveal")


def test_sigterm_lets_requests_in_flight_finish(tmp_path: Path) -> None:
    write_colours(tmp_path / "zoo", "slow", input_hw=(1024, 1024), cost=60)
    with Server(tmp_path / "zoo", tmp_path / "log", ort_threads=1) as server, httpx.Client(timeout=60) as client:
        ask = [server.url + "/v1/classify", png((255, 0, 0))]
        with ThreadPoolExecutor(6) as pool:
            answers = [pool.submit(client.post, ask[0], content=ask[1]) for _ in range(6)]
            while 'foveal_waiting_images{model="slow",version="1"} 0.0' in client.get(server.url + "/metrics").text:
                time.sleep(0.01)  # until at least one is queued behind another
            code = server.stop(signal.SIGTERM)
            assert [answer.result().status_code for answer in answers] == [200] * 6
        assert code == 0, server.log
        with pytest.raises(httpx.ConnectError):
            client.get(server.url + "/livez")


def test_the_hint_works_as_pasted(server: Server) -> None:
    (line,) = re.findall(r"^  (curl .*)$", server.log, re.MULTILINE)
    _, flag, image, url = shlex.split(line)
    assert flag == "--data-binary"
    answer = httpx.post(url, content=Path(image.removeprefix("@")).read_bytes())
    assert answer.json()["results"][0]["classes"][0]["label"] == "red"


def test_requests_are_logged_as_json(server: Server) -> None:
    httpx.get(server.url + "/v1/models", headers={"x-request-id": "find-me"})
    deadline = time.monotonic() + 30
    while not (found := [line for line in server.log.splitlines() if "find-me" in line]):  # written after the answer
        assert time.monotonic() < deadline, server.log
        time.sleep(0.01)
    (line,) = map(json.loads, found)
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/models", 200)


def refused(*arguments: str) -> str:
    ended = subprocess.run([FOVEAL, "serve", *arguments], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_an_empty_zoo_says_what_to_do(tmp_path: Path) -> None:
    assert "foveal export" in refused("--zoo", str(tmp_path))


def test_a_zoo_with_nothing_but_a_broken_package_names_the_file(tmp_path: Path) -> None:
    model = write_colours(tmp_path) / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    assert str(model) in refused("--zoo", str(tmp_path))


def test_a_port_that_is_taken(colour_zoo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}" in refused("--zoo", str(colour_zoo), "--port", port)


def test_metrics_count_this_server_only(server: Server) -> None:
    before = httpx.get(server.url + "/metrics").text
    httpx.post(server.url + "/v1/classify", content=png((0, 0, 255)))
    after = httpx.get(server.url + "/metrics").text

    def count(text: str) -> float:
        found = re.search(r'foveal_images_total\{model="colours",status="200",version="2"\} ([\d.]+)', text)
        return float(found[1]) if found else 0.0

    assert count(after) == count(before) + 1
    assert 'foveal_provider{actual="cpu",model="colours",requested="cpu",version="2"} 1.0' in after
    for name in ("request_seconds", "stage_seconds", "batch_size", "image_megapixels", "top_score"):
        assert f"foveal_{name}_count" in after


def test_the_parent_process_imports_no_model_runtime(colour_zoo: Path) -> None:
    """It supervises; half a second of imports there would delay every start."""
    heavy = {"onnxruntime", "foveal.service.application"}
    code = f"import sys, foveal.service.bentoml_host; print({heavy} & set(sys.modules))"
    environment = os.environ | {"FOVEAL_ZOO": str(colour_zoo), "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "set()\n", done.stderr


def test_a_request_leaves_no_timer_behind(colour_zoo: Path) -> None:
    """BentoML's would stay until it would have fired: memory by the thousand requests."""
    code = """
import asyncio, httpx
from foveal.service.bentoml_host import Foveal

async def main():
    transport = httpx.ASGITransport(Foveal.to_asgi(is_main=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for _ in range(20):
            assert (await client.get("/v1/openapi.json")).status_code == 200
    print(len(asyncio.get_running_loop()._scheduled))

asyncio.run(main())
"""
    environment = os.environ | {"FOVEAL_ZOO": str(colour_zoo), "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "0\n", done.stderr
