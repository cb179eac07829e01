"""Limits, readiness and broken packages, in process: the application of service/application.py over ASGI."""

import asyncio
import hashlib
import json
import shutil
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import onnxruntime
import pytest
from packages import colour_manifest, golden_files, mean_colour_graph, png, write_colours

from foveal.predictor import Predictor
from foveal.service.application import Application
from foveal.service.errors import NotReady
from foveal.service.front import Front
from foveal.service.logs import JsonLines
from foveal.service.settings import BadSetting, Settings, from_environment

RED = png((255, 0, 0))


@asynccontextmanager
async def running(
    zoo: Path, clock: Callable[[], float] = time.monotonic, **settings: Any
) -> AsyncIterator[tuple[Application, httpx.AsyncClient]]:
    """An application whose models are loaded, and a client."""
    application = Application(Settings(zoo=zoo, **settings), clock)
    async with application.lifespan():
        while not application.models.loaded:
            await asyncio.sleep(0.005)
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield application, client


def run(zoo: Path, check: Callable[[Application, httpx.AsyncClient], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        async with running(zoo, **settings) as (application, client):
            await asyncio.wait_for(check(application, client), 30)

    asyncio.run(whole())


# --- bytes and time of an upload ---


def test_a_body_is_refused_as_soon_as_it_is_over_the_limit(colour_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1000
            await asyncio.sleep(0)
            yield b"x" * 1000

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        response = await asyncio.wait_for(client.post("/v1/classify", content=endless()), 10)
        assert response.status_code == 413
        assert response.headers["connection"] == "close"

    monkeypatch.setattr("foveal.service.errors.LINGER_BYTES", 100_000)
    run(colour_zoo, check, max_body_bytes=50_000)
    assert 50_000 < sent < 200_000


@pytest.mark.parametrize("pauses", [(0.0, 9.0), (0.08, 0.08, 0.08, 0.08, 0.08, 0.08)], ids=["stops", "drips"])
def test_a_slow_upload_is_given_up(
    colour_zoo: Path, pauses: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foveal.service.errors.LINGER_S", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        for pause in pauses:
            await asyncio.sleep(pause)
            yield b"x"

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/classify", content=slow())
        assert response.status_code == 408
        assert response.json()["title"] == "Upload too slow"

    run(colour_zoo, check, upload_idle_s=0.2, upload_s=0.3)


def test_pixels_over_the_limit(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/classify", content=png((1, 2, 3), (200, 100)))
        assert response.status_code == 413
        assert "at most 19999 pixels" in response.json()["detail"]

    run(colour_zoo, check, max_pixels=19_999)


# --- overload and deadlines ---


class Blocked:
    """Replaces Predictor.infer by one that waits, and counts what was computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.computed = 0
        real = Predictor.infer

        def infer(predictor: Predictor, batch: Any, options: Any) -> Any:
            self.go.wait(10)
            self.computed += len(batch)
            return real(predictor, batch, options)

        self._patch = (monkeypatch, infer)

    def on(self) -> None:
        """From now on; not during the golden check."""
        monkeypatch, infer = self._patch
        monkeypatch.setattr(Predictor, "infer", infer)


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocked]:
    made = Blocked(monkeypatch)
    yield made
    made.go.set()


def block(application: Application, blocked: Blocked) -> None:
    """The batchers hold the bound method: exchange it there."""
    blocked.on()
    for served in application.models.snapshot.served.values():
        served.batcher._infer = served.predictor.infer


def test_more_than_the_queue_holds_gets_429_and_a_time_to_come_back(colour_zoo: Path, blocked: Blocked) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        first = [asyncio.create_task(client.post("/v1/classify", content=RED)) for _ in range(4)]
        await asyncio.sleep(0.2)
        refused = await client.post("/v1/classify", content=RED)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        other = await asyncio.wait_for(client.get("/v1/models"), 1)
        assert other.status_code == 200, "the event loop is free meanwhile"
        blocked.go.set()
        assert [response.status_code for response in await asyncio.gather(*first)] == [200] * 4
        assert (await client.post("/v1/classify", content=RED)).status_code == 200
        assert 'foveal_rejections_total{fault="Busy"} 1.0' in (await client.get("/metrics")).text

    run(colour_zoo, check, max_waiting_images=4)


def test_a_full_queue_refuses_before_the_body_is_read(colour_zoo: Path, blocked: Blocked) -> None:
    """And the connection lives on after a small body, which is thrown away; after another it is closed."""
    read = 0

    async def body(size: int) -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(size // 1000):
            read += 1
            yield bytes(1000)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        nonlocal read
        block(application, blocked)
        first = [asyncio.create_task(client.post("/v1/classify?top_k=1", content=RED)) for _ in range(2)]
        await asyncio.sleep(0.2)
        for length, kept in (("50000", True), ("2000000", False), (None, False)):
            read = 0
            told = {"transfer-encoding": "chunked"} if length is None else {"content-length": length}
            answer = await client.post("/v1/classify", content=body(int(length or 50_000)), headers=told)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
            assert ("connection" not in answer.headers) == kept, length
            assert read == int(length or 50_000) // 1000, "drained, or the client would see a reset"
        big = await client.post("/v1/segment", content=RED)
        assert big.status_code == 404, "another task's queue is its own"
        blocked.go.set()
        assert [response.status_code for response in await asyncio.gather(*first)] == [200] * 2

    run(colour_zoo, check, max_waiting_images=2)


def test_a_flood_of_refusals_is_a_line_a_second(
    colour_zoo: Path, blocked: Blocked, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        first = asyncio.create_task(client.post("/v1/classify", content=RED))
        await asyncio.sleep(0.2)
        for _ in range(9):
            assert (await client.post("/v1/classify", content=RED)).status_code == 429
        assert isinstance(application._entry, Front)
        application._entry._next_told = 0.0  # as if the second were over
        assert (await client.post("/v1/classify", content=RED)).status_code == 429
        blocked.go.set()
        await first

    monkeypatch.setattr("foveal.service.front.REFUSALS_TOLD_S", 1000)
    with caplog.at_level("INFO", "foveal.access"):
        run(colour_zoo, check, max_waiting_images=1)
    lines = [json.loads(JsonLines().format(r)) for r in caplog.records if r.name == "foveal.access"]
    assert [line["refused"] for line in lines if line["status"] == 429] == [1, 9]


def test_too_many_requests_at_once(colour_zoo: Path, blocked: Blocked) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        first = [asyncio.create_task(client.post("/v1/classify", content=RED)) for _ in range(2)]
        await asyncio.sleep(0.2)
        assert (await client.post("/v1/classify", content=RED)).status_code == 429
        blocked.go.set()
        assert [response.status_code for response in await asyncio.gather(*first)] == [200] * 2

    run(colour_zoo, check, max_requests=2)


def test_a_request_larger_than_the_queue_is_served_when_nothing_waits(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/classify", files=[("image", ("a.png", RED))] * 5)
        assert response.status_code == 200

    run(colour_zoo, check, max_waiting_images=2)


def test_what_is_past_its_deadline_is_never_computed(colour_zoo: Path, blocked: Blocked) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        responses = await asyncio.gather(*(client.post("/v1/classify", content=RED) for _ in range(6)))
        assert [response.status_code for response in responses] == [504] * 6
        blocked.go.set()
        await asyncio.sleep(0.1)
        assert blocked.computed == 1, "only the one that was in the session already"

    run(colour_zoo, check, request_s=0.4)


class Caller:
    """One request over bare ASGI, whose client may hang up."""

    def __init__(self, application: Application, body: bytes) -> None:
        self.gone = asyncio.Event()
        self.statuses: list[int] = []
        self._body: bytes | None = body
        scope = {"type": "http", "method": "POST", "path": "/v1/classify", "query_string": b"", "headers": []}
        self.done = asyncio.create_task(application(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.statuses.append(message["status"])


def test_what_a_client_no_longer_waits_for_is_never_computed(colour_zoo: Path, blocked: Blocked) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        block(application, blocked)
        callers = [Caller(application, RED) for _ in range(6)]
        await asyncio.sleep(0.2)
        for caller in callers[1:]:
            caller.gone.set()
        await asyncio.gather(*(caller.done for caller in callers[1:]))
        assert [caller.statuses for caller in callers[1:]] == [[499]] * 5
        blocked.go.set()
        await callers[0].done
        assert callers[0].statuses == [200]
        assert blocked.computed == 1
        assert 'foveal_requests_total{route="/v1/classify",status="499"} 5.0' in (await client.get("/metrics")).text

    run(colour_zoo, check, max_waiting_images=6)


# --- readiness and broken packages ---


def test_a_probe_by_another_method(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        refused = await client.post("/readyz")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")

    run(colour_zoo, check)


def not_ready(application: Application) -> str:
    with pytest.raises(NotReady) as raised:
        application.models.check_ready()
    return str(raised.value)


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
        told = not_ready(application)
        assert "colours@1" in told
        assert str(path) in told or name == "SHA256SUMS"
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


# --- settings ---


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


def test_a_silent_fallback_is_refused_when_strict_and_told_when_not(colour_zoo: Path) -> None:
    async def strict(application: Application, client: httpx.AsyncClient) -> None:
        assert "expected execution provider cuda, got cpu" in not_ready(application)

    async def lax(application: Application, client: httpx.AsyncClient) -> None:
        application.models.check_ready()
        response = await client.post("/v1/classify", content=RED)
        assert response.headers["x-foveal-provider"] == "cpu"
        told = (await client.get("/v1/models/colours")).json()["provider"]
        assert told == {"requested": "cuda", "actual": "cpu"}

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    run(colour_zoo, strict, provider="cuda")
    run(colour_zoo, lax, provider="cuda", strict_provider=False)
