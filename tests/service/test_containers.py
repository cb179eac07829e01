"""Containers of request bodies: what clients really send, and what must cost nothing."""

import base64
import json
import time

import pytest

from foveal.errors import BadRequest, FovealError
from foveal.service.errors import BodyTooLarge
from foveal.service.http.containers import base64_text, form, json_body
from foveal.service.http.containers.hints import CURL_DEFAULT, hint
from tests.helpers.packages import png

DATA = bytes(range(256)) * 3 + b"\xff"
RAW_JSON = '{"images":[{"base64":"TEXT"}]}'  # line breaks and all
TEXT = base64.b64encode(DATA)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        base64.encodebytes(DATA),
        base64.encodebytes(DATA).replace(b"\n", b"\r\n"),
        base64.urlsafe_b64encode(DATA),
        TEXT.rstrip(b"="),
        base64.urlsafe_b64encode(DATA).rstrip(b"="),
        b"data:image/jpeg;base64," + TEXT,
        b"DATA:IMAGE/PNG;name=a.png;charset=utf-8;BASE64," + TEXT,
        b"data:;base64," + TEXT,
        b" \n" + TEXT + b"\n",
    ],
)
def test_base64_as_clients_write_it(text: bytes) -> None:
    assert base64_text.decode(text) == DATA
    for body in (json.dumps({"images": [{"base64": text.decode()}]}), RAW_JSON.replace("TEXT", text.decode())):
        assert json_body.parse(body.encode(), 1)[0].data == DATA


@pytest.mark.parametrize(("text", "why"), [
    (b"AA%A", "got '%' at character 3"), (b"A", "got 1 characters"), (b"AA=", "1 of padding"), (b"AA==AAAA", "got '='"),
    (b"data:image/png,%89PNG", "';base64,'"), ("Ａ".encode(), "at character 1"),
])  # fmt: skip
def test_what_is_no_base64(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("(", r"\(")):
        base64_text.decode(text)


def test_long_base64_is_decoded_in_steps_and_padding_is_last() -> None:
    data = bytes(3 * base64_text.STEP)
    assert base64_text.decode(base64.b64encode(data)) == data
    with pytest.raises(ValueError, match="expected base64"):
        base64_text.decode(b"A" * (base64_text.STEP - 2) + b"==" + b"AAAA")


@pytest.mark.parametrize("escape", [(b"/", b"\\/"), (b"+", b"\\u002B"), (b"=", b"\\u003d")])
def test_escapes_of_php_and_net(escape: tuple[bytes, bytes]) -> None:
    text = base64.b64encode(DATA * 400).replace(*escape)
    assert json_body.parse(b'{"images":[{"base64":"%b"}]}' % text, 1)[0].data == DATA * 400


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "body: expected an object, got a list"),
        (b"{}", "expected the key 'images'"),
        (b'{"images":[{}]}', "images.0: expected the key 'base64'"),
        (b'{"images":[{"base64":""},{"base64":7}]}', "images.1.base64: expected a string, got a number"),
        (b'{"images":[{"base64":"","url":"x"}]}', "'url': unknown key; expected base64 and name"),
        (b'{"images":[],"images":[]}', "'images': expected once, got twice"),
        (b'{"images":NaN}', "expected a list, got 'N'"),
        (b'{"images":[{"base64":""},]}', "images.1: expected an object, got ']'"),
        (b'{"images":["AAAA"]}', "images.0: expected an object, got a string"),
        (b'{"images":[{"base64":"AA', "the end of the body"),
        (b'{"images":[{"base64":""}]} x', "expected its end"),
        ('{"images":[]}'.encode("utf-16"), "expected UTF-8"),
        (b'{"images":[{"name":"\xff","base64":""}]}', "expected UTF-8"),
    ],
)
def test_malformed_json_is_named(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest) as raised:
        json_body.parse(body, 32)
    assert why in str(raised.value)


def fields(*names: str) -> bytes:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{n}"; filename="a"\r\n\r\n'.encode() + DATA for n in names]
    return b"\r\n".join([*parts, b"--x--"])


def test_names_of_image_fields() -> None:
    names = ("file", "files", "image", "images", "images[]", "files[]", "image[]", "files[0]")
    assert [upload.data for upload in form.parse(fields(*names), b"x", 8)] == [DATA] * 8
    with pytest.raises(BodyTooLarge):
        form.parse(fields(*names), b"x", 7)
    with pytest.raises(BadRequest, match=r"'top_k' belongs in the query string: \?top_k="):
        form.parse(fields("image", "top_k"), b"x", 8)
    with pytest.raises(BadRequest, match="got 'colour'"):
        form.parse(fields("colour"), b"x", 8)


PNG = png((255, 0, 0))


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        (PNG.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b""), "--data-binary"),
        (PNG.replace(b"\r", b"").replace(b"\n", b""), "--data-binary"),
        (b"top_k=3&model=shapes", "?top_k=VALUE"),
        (b"image=%FF%D8", "field 'image'"),
        (b"@x.png", "--data-binary"),
        (b'{"images": []}', "Content-Type: application/json"),
        (b"data:image/png;base64,AAAA", "base64"),
        (base64.b64encode(PNG), "base64"),
        (b"no image\n", ""),
    ],
)
def test_hints(body: bytes, remedy: str) -> None:
    found = hint(CURL_DEFAULT, body)
    assert remedy in found
    assert bool(found) == bool(remedy)


PART = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
N = 3_000_000
BOMBS = {
    "objects": b'{"images":[' + b"{}," * N + b"{}]}",
    "unknown keys": b"{" + b",".join(b'"k%d":0' % i for i in range(N // 10)) + b"}",
    "lists": b"[" * N,
    "objects in objects": b'{"images":' * (N // 10),
    "digits": b'{"images":' + b"9" * N + b"}",
    "blanks": b'{"images":' + b" " * N,
    "quotes": b'{"images":[{"base64":"' + b'\\"' * N + b'"}]}',
    "backslashes": b'{"images":[{"base64":"' + b"\\\\" * N + b'"}]}',
    "slashes": b'{"images":[{"base64":"' + b"\\/" * N + b'"}]}',
    "name": b'{"images":[{"name":"' + b"\\u0041" * N + b'"}]}',
    "key": b'{"' + b"k" * N,
    "form: padding": PART + b"\r\n--x" + b" " * N,
    "form: near boundaries": PART + b"\r\n--xQ" * N,
    "form: empty parts": b"--x\r\n\r\n\r\n" * N,
    "form: part header": b"--x\r\nA: " + b"a" * N,
    "form: part headers": b"--x\r\n" + b"A: b\r\n" * N,
    "form: carriage returns": PART + b"\r" * N,
    "form: before the boundary": b"\r\n-" * N,
}


@pytest.mark.parametrize("name", BOMBS)
def test_cost_of_a_body_is_bounded_by_its_size(name: str) -> None:
    body = BOMBS[name]
    started = time.thread_time()
    with pytest.raises(FovealError):
        form.parse(body, b"x", 32) if name.startswith("form") else json_body.parse(body, 32)
    assert time.thread_time() - started < 0.02 + 2e-8 * len(body)
