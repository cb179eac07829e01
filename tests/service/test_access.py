"""Settings, the log, keys, origins, providers: in process, over ASGI."""

import hashlib
import json
from pathlib import Path

import httpx
import onnxruntime
import pytest

from foveal.service.application import Application
from foveal.service.observability.logs import JsonLines
from foveal.service.settings import BadSetting, Settings, from_environment
from tests.helpers.applications import not_ready, run
from tests.helpers.packages import png

RED = png((255, 0, 0))


@pytest.mark.parametrize(("name", "value"), [("MAX_IMAGES", "0"), ("REQUEST_S", "soon"), ("DEFAULT_MODELS", "[1]")])
def test_a_bad_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FOVEAL_{name}", value)
    from_environment.cache_clear()
    with pytest.raises(BadSetting, match=f"FOVEAL_{name}"):
        from_environment()


def test_every_setting_has_a_reason() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_log_is_one_json_object_a_request(colour_zoo: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        await client.post("/v1/classify?top_k=1", content=RED, headers={"x-request-id": "abc"})

    with caplog.at_level("INFO", "foveal.access"):
        run(colour_zoo, check)
    (line,) = [json.loads(JsonLines().format(r)) for r in caplog.records if r.name == "foveal.access"]
    assert (line["level"], line["event"]) == ("info", "request")
    assert line["id"] == "abc"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/classify", 200)


# --- keys and origins ---


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_keys(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        for path in ("/v1/models", "/v1/docs", "/metrics", "/nowhere"):
            refused = await client.get(path)
            assert refused.status_code == 401, path
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == "application/problem+json"
        for wrong in ("Bearer c", f"Bearer {hashed('a')}", "Basic a", "Bearer", "Bearer ", "a", "Bearer é"):
            sent = [(b"authorization", wrong.encode("latin-1"))]
            assert (await client.get("/v1/models", headers=sent)).status_code == 401, wrong
        for right in ("Bearer a", "bearer  b "):
            assert (await client.get("/v1/models", headers={"authorization": right})).status_code == 200

    run(colour_zoo, check, api_keys=f"{hashed('a')}, {hashed('b').upper()}")


def test_a_key_has_its_rate(colour_zoo: Path) -> None:
    now = 0.0

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        nonlocal now
        as_a = {"authorization": "Bearer a"}
        ask = [await client.get("/v1/models", headers=as_a) for _ in range(5)]
        assert [response.status_code for response in ask] == [200, 200, 200, 200, 429]
        assert ask[-1].headers["retry-after"] == "1"
        assert (await client.get("/v1/models", headers={"authorization": "Bearer b"})).status_code == 200
        now = 0.5
        ask = [await client.get("/v1/models", headers=as_a) for _ in range(2)]
        assert [response.status_code for response in ask] == [200, 429], "half a second earns one request"

    keys = f"{hashed('a')},{hashed('b')}"
    run(colour_zoo, check, clock=lambda: now, api_keys=keys, key_requests_per_s=2)


def test_keys_in_clear_are_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEAL_API_KEYS", "my-secret-key")
    from_environment.cache_clear()
    with pytest.raises(BadSetting, match="sha256") as raised:
        from_environment()
    assert "my-secret-key" not in str(raised.value)


def test_cors_is_off_until_an_origin_is_named(colour_zoo: Path) -> None:
    ask = {"origin": "https://page.example", "access-control-request-method": "POST"}

    async def off(application: Application, client: httpx.AsyncClient) -> None:
        assert (await client.options("/v1/classify", headers=ask)).status_code == 405
        plain = await client.get("/v1/models", headers=ask)
        assert not [name for name in plain.headers if name.startswith("access-control")]

    async def on(application: Application, client: httpx.AsyncClient) -> None:
        allowed = await client.options("/v1/classify", headers=ask)
        assert allowed.headers["access-control-allow-origin"] == "https://page.example"
        foreign = await client.options("/v1/classify", headers=ask | {"origin": "https://other.example"})
        assert foreign.status_code == 400

    run(colour_zoo, off)
    run(colour_zoo, on, cors_origins="https://page.example")


# --- providers ---


def test_a_silent_fallback_is_refused_when_strict_and_reported_when_not(colour_zoo: Path) -> None:
    async def strict(application: Application, client: httpx.AsyncClient) -> None:
        assert "expected execution provider cuda, got cpu" in not_ready(application)

    async def lax(application: Application, client: httpx.AsyncClient) -> None:
        application.models.check_ready()
        response = await client.post("/v1/classify", content=RED)
        assert response.headers["x-foveal-provider"] == "cpu"
        provider = (await client.get("/v1/models/colours")).json()["provider"]
        assert provider == {"requested": "cuda", "actual": "cpu"}

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    run(colour_zoo, strict, provider="cuda")
    run(colour_zoo, lax, provider="cuda", strict_provider=False)
