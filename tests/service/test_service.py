"""The service over real HTTP: every route, every kind of body, every media type."""

import base64
import io
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from foveal.cli import main as foveal
from foveal.service.http.schemas import ModelInfo, ModelList
from foveal.tasks import TASKS
from tests.helpers.packages import encoded, png
from tests.helpers.servers import Server, best, problem

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CLASSIFY = "/v1/classify"


# --- bodies ---


def test_raw_bytes(client: httpx.Client) -> None:
    response = client.post(CLASSIFY, content=png(RED), headers={"content-type": "image/png"})
    answer = response.json()
    entry = TASKS["classification"].entry.model_validate(answer["results"][0]).model_dump()
    assert entry["image"] == {"name": None, "width": 12, "height": 10, "exif_orientation": 1}
    assert [row["label"] for row in entry["classes"]] == ["red", "green", "blue"]
    assert answer["model"] | {"digest": ""} == {
        "name": "colours",
        "version": "2",
        "task": "classification",
        "digest": "",
    }


@pytest.mark.parametrize("declared", ["image/gif", "application/octet-stream", "application/x-www-form-urlencoded", ""])
def test_bytes_decide_the_format_not_the_declared_type(client: httpx.Client, declared: str) -> None:
    response = client.post(CLASSIFY, content=png(BLUE), headers={"content-type": declared} if declared else {})
    assert best(response) == "blue"


def test_multipart_with_one_bad_among_good(client: httpx.Client) -> None:
    files = [("image", ("a.png", png(RED))), ("image", ("b.jpg", b"no image")), ("image", ("ü c.png", png(BLUE)))]
    response = client.post(CLASSIFY, files=files)
    first, second, third = response.json()["results"]
    assert response.status_code == 200
    assert (best(response, 0), best(response, 2)) == ("red", "blue")
    assert [entry["image"]["name"] for entry in (first, second, third)] == ["a.png", "b.jpg", "ü c.png"]
    assert second["error"]["status"] == 415


def test_json_with_base64(client: httpx.Client) -> None:
    images = [{"name": "a.png", "base64": base64.b64encode(png(GREEN)).decode()}]
    images.append({"base64": base64.b64encode(png(RED)).decode()})
    response = client.post(CLASSIFY, json={"images": images})
    assert (best(response, 0), best(response, 1)) == ("green", "red")
    assert [entry["image"]["name"] for entry in response.json()["results"]] == ["a.png", None]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"images": []}',
        b'{"images": [{"base64": "%%%"}]}',
        b'{"images": [{"url": "http://127.0.0.1/a.png"}]}',
        b'{"images": [{"base64": "AAAA", "url": "x"}]}',
        b"[" * 100_000,
        b'{"images": [{"base64": "AA\xff"}]}',
    ],
)
def test_malformed_json(client: httpx.Client, body: bytes) -> None:
    problem(client.post(CLASSIFY, content=body, headers={"content-type": "application/json"}), 400)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--y\r\n\r\n"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc'),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="colour"\r\n\r\na\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 2000 + b"\r\na\r\n--x--\r\n"),
        ("multipart/form-data; boundary=" + "x" * 1000, b""),
    ],
)
def test_malformed_multipart(client: httpx.Client, content_type: str, body: bytes) -> None:
    problem(client.post(CLASSIFY, content=body, headers={"content-type": content_type}), 400)


def test_names_lose_control_characters_and_endless_length(client: httpx.Client) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a\x1b[31m' + b"b" * 900 + b'"\r\n\r\n'
    body += png(RED) + b"\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    name = client.post(CLASSIFY, content=body, headers=headers).json()["results"][0]["image"]["name"]
    assert name.startswith("a�[31mb")
    assert len(name) == 255


@pytest.mark.parametrize("headers", [{"content-type": "text/html"}, {"content-encoding": "gzip"}])
def test_containers_that_are_not_unpacked(client: httpx.Client, headers: dict[str, str]) -> None:
    problem(client.post(CLASSIFY, content=png(RED), headers=headers), 415)


def test_too_many_images(client: httpx.Client) -> None:
    found = problem(client.post(CLASSIFY, files=[("image", ("a.png", png(RED)))] * 33), 413)
    assert "at most 32 images" in found.detail


def test_a_declared_length_over_the_limit_is_refused_unread(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 64000001\r\n\r\n")
        answer = connection.makefile("rb").read()  # to the end: the server closes
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"at most 64000000 bytes, got 64000001" in answer


# --- parameters, models, negotiation ---


def test_top_k(client: httpx.Client) -> None:
    classes = client.post(CLASSIFY, params={"top_k": 1}, content=png(RED)).json()["results"][0]["classes"]
    assert [row["label"] for row in classes] == ["red"]


@pytest.mark.parametrize(
    "query", ["top_k=0", "top_k=x", "top_k=1&top_k=2", "score_threshold=0.5", "nonsense=1", "top_k=%00", "top_k=" * 999]
)
def test_bad_parameters(client: httpx.Client, query: str) -> None:
    problem(client.post(f"{CLASSIFY}?{query}", content=png(RED)), 400)


@pytest.mark.parametrize(
    ("wanted", "name", "version"),
    [("tints", "tints", "1"), ("colours@1", "colours", "1"), ("colours", "colours", "2"), (None, "colours", "2")],
)
def test_model_choice(client: httpx.Client, wanted: str | None, name: str, version: str) -> None:
    params = {"model": wanted} if wanted else {}
    model = client.post(CLASSIFY, params=params, content=png(RED)).json()["model"]
    assert (model["name"], model["version"]) == (name, version)


@pytest.mark.parametrize("wanted", ["", "nobody", "colours@3", "colours@", "@2", "../colours"])
def test_unknown_model_lists_the_choices(client: httpx.Client, wanted: str) -> None:
    found = problem(client.post(CLASSIFY, params={"model": wanted}, content=png(RED)), 404)
    assert "colours@2" in found.detail
    assert "tints" in found.detail


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/*;q=0.2, text/html", "application/json, image/png;q=0.9"]
)
def test_accept(client: httpx.Client, accept: str) -> None:
    assert best(client.post(CLASSIFY, content=png(RED), headers={"accept": accept})) == "red"


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "application/xml"])
def test_not_acceptable(client: httpx.Client, accept: str) -> None:
    problem(client.post(CLASSIFY, content=png(RED), headers={"accept": accept}), 406)


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
def test_annotated_image(client: httpx.Client, media_type: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (400, 300), GREEN), "JPEG", exif=exif)
    response = client.post(CLASSIFY, content=data, headers={"accept": media_type})
    assert response.headers["content-type"] == media_type
    with Image.open(io.BytesIO(response.content)) as drawn:
        assert (drawn.size, Image.MIME[drawn.format]) == ((300, 400), media_type)
        assert np.ptp(np.asarray(drawn.convert("RGB")), axis=(0, 1)).max() > 100, "something is drawn on it"


def test_annotated_image_of_several_is_not_acceptable(client: httpx.Client) -> None:
    files = [("image", ("a.png", png(RED)))] * 2
    problem(client.post(CLASSIFY, files=files, headers={"accept": "image/png"}), 406)


def test_annotated_jpeg_of_an_image_that_jpeg_cannot_hold(client: httpx.Client) -> None:
    long = png(RED, (70_000, 2))
    problem(client.post(CLASSIFY, content=long, headers={"accept": "image/jpeg"}), 413)
    assert client.post(CLASSIFY, content=long, headers={"accept": "image/png"}).status_code == 200


def test_headers(client: httpx.Client) -> None:
    response = client.post(CLASSIFY, content=png(RED), headers={"x-request-id": "my-id.7"})
    assert response.headers["x-request-id"] == "my-id.7"
    assert response.headers["x-foveal-provider"] == "cpu"
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]))
    assert list(stages) == ["decode", "preprocess", "queue", "inference", "postprocess", "encode"]
    assert 0 < sum(map(float, stages.values())) < 10_000
    assert 'batch;desc="1"' in response.headers["server-timing"]


@pytest.mark.parametrize("sent", ["a b", "x" * 129, "<script>", ""])
def test_a_harmful_request_id_is_replaced(client: httpx.Client, sent: str) -> None:
    received = client.post(CLASSIFY, content=png(RED), headers={"x-request-id": sent}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", received)


# --- the other routes ---


def test_models(client: httpx.Client) -> None:
    listed = ModelList.model_validate(client.get("/v1/models").json())
    assert [(m.name, m.version, m.default) for m in listed.models] == [
        ("colours", "1", False),
        ("colours", "2", True),
        ("tints", "1", False),
    ]
    assert listed.failed == []
    shown = ModelInfo.model_validate(client.get("/v1/models/colours@1").json())
    assert shown == listed.models[0]
    assert shown.provider.requested == shown.provider.actual == "cpu"
    assert client.get("/v1/models/colours").json()["version"] == "2"
    assert "tints@1" in problem(client.get("/v1/models/nobody"), 404).detail


def test_probes(client: httpx.Client) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1/classify/", "/v1", "/", "/v1/detect%00", "/v1/models/a/b", "/docs.json"]
)
def test_no_such_path(client: httpx.Client, path: str) -> None:
    problem(client.get(path), 404)


@pytest.mark.parametrize(("method", "path"), [("GET", CLASSIFY), ("DELETE", "/v1/models"), ("PUT", CLASSIFY)])
def test_method_not_allowed(client: httpx.Client, method: str, path: str) -> None:
    response = client.request(method, path)
    problem(response, 405)
    assert response.headers["allow"]


def test_docs_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    response = client.get("/v1/docs")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert not re.search(r"(src|href)=['\"]?(https?:)?//", response.text)
    problem_type = client.get("/nowhere").json()["type"]
    assert problem_type.startswith("/v1/docs#")


def test_problem_types_lead_into_the_docs(client: httpx.Client) -> None:
    anchor = client.post(CLASSIFY, content=b"text").json()["type"].partition("#")[2]
    assert f"id='{anchor}'" in client.get("/v1/docs").text


# --- together ---


def test_the_cli_writes_the_same_bytes(
    client: httpx.Client, colour_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a.png", "b.jpg", "ü.png"]
    for name, data in zip(names, [png(RED), b"text", encoded(Image.new("RGB", (40, 30)), "JPEG")], strict=True):
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out.jsonl"
    argv = ["foveal", "predict", *names, "--model", "colours", "--zoo", str(colour_zoo), "--out", str(out)]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as stopped:
        foveal()
    assert stopped.value.code == 1, "b.jpg is no image"
    files = [("image", (name, Path(name).read_bytes())) for name in names]
    body = client.post(CLASSIFY, files=files).content
    entries = out.read_bytes().splitlines()
    assert body.endswith(b'"results":[' + b",".join(entries) + b"]}")


def test_concurrent_requests_get_their_own_answers(client: httpx.Client) -> None:
    colours = {"red": RED, "green": GREEN, "blue": BLUE}

    def ask(number: int) -> bool:
        label = list(colours)[number % 3]
        return best(client.post(CLASSIFY, content=png(colours[label], (8 + number, 9)))) == label

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(96)))


def test_json_is_compact_utf8(client: httpx.Client) -> None:
    content = client.post(CLASSIFY, content=png(RED)).content
    assert content == json.dumps(json.loads(content), ensure_ascii=False, separators=(",", ":")).encode()
