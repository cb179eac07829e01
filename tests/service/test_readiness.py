"""Readiness, broken packages, internal errors: in process, over ASGI."""

import json
import shutil
from pathlib import Path

import httpx
import pytest

from foveal.inference.pipeline import Predictor
from foveal.service.application import Application
from foveal.service.observability.logs import JsonLines
from tests.helpers.applications import not_ready, run
from tests.helpers.packages import colour_manifest, golden_files, mean_colour_graph, png, write_colours

RED = png((255, 0, 0))


def test_a_probe_by_another_method(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        refused = await client.post("/readyz")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")

    run(colour_zoo, check)


def test_a_package_that_fails_its_golden_is_named_and_not_served(tmp_path: Path) -> None:
    write_colours(tmp_path, "good")
    golden = golden_files(colour_manifest(), mean_colour_graph((8, 8)))
    expected = json.loads(golden["warm.json"])
    expected["classes"][0]["score"] -= 0.01
    write_colours(tmp_path, "liar", golden=golden | {"warm.json": json.dumps(expected).encode()})

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        assert "liar@1" in not_ready(application)
        assert "golden/warm.png" in not_ready(application)
        assert (await client.post("/v1/classify", content=RED)).json()["model"]["name"] == "good"
        refused = await client.post("/v1/classify?model=liar", content=RED)
        assert refused.status_code == 503
        listed = (await client.get("/v1/models")).json()
        assert [model["name"] for model in listed["models"]] == ["good"]
        assert [model["model"] for model in listed["failed"]] == ["liar@1"]

    run(tmp_path, check)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "golden/warm.png", "SHA256SUMS"])
def test_one_flipped_byte_is_refused_with_the_file_named(tmp_path: Path, name: str) -> None:
    path = write_colours(tmp_path) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        reason = not_ready(application)
        assert "colours@1" in reason
        assert str(path.relative_to(tmp_path)) in reason or name == "SHA256SUMS"
        assert (await client.post("/v1/classify", content=RED)).status_code in (404, 503)

    run(tmp_path, check)


def test_a_package_in_the_wrong_folder_is_not_served(tmp_path: Path) -> None:
    shutil.move(write_colours(tmp_path, "colours", 1), tmp_path / "colours" / "7")

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        assert "expected the folder of colours@1" in not_ready(application)

    run(tmp_path, check)


def test_an_empty_zoo_is_not_ready(tmp_path: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        assert "got none" in not_ready(application)
        assert (await client.post("/v1/classify", content=RED)).status_code == 404

    run(tmp_path, check)


def test_the_default_model_can_be_chosen(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/classify", content=RED)).json()["model"]["name"] == "tints"

    run(colour_zoo, check, default_models={"classification": "tints"})


def test_a_bug_of_ours_is_a_500_that_gives_nothing_away(
    colour_zoo: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("secret")

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        monkeypatch.setattr(Predictor, "finish", broken)
        response = await client.post("/v1/classify", content=RED)
        assert response.status_code == 500
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["x-request-id"] in response.json()["detail"]
        assert "secret" not in response.text
        (line,) = [json.loads(JsonLines().format(r)) for r in caplog.records if r.getMessage() == "bug"]
        assert line["id"] == response.headers["x-request-id"]
        assert "RuntimeError: secret" in line["traceback"]

    run(colour_zoo, check)
