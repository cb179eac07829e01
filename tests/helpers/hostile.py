"""Corpus of invalid and unusual requests: images, bodies, parameters, headers. Generated, and the same in every run."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.helpers.hostile_images import images, sample

REFUSED = frozenset(range(400, 500))
GOOD = frozenset({200})
PNG = sample("PNG")
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@dataclass(frozen=True)
class Case:
    """One request and its allowed statuses."""

    name: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    target: bytes = b"/v1/classify"
    method: bytes = b"POST"
    expect: frozenset[int] = REFUSED

    def request(self) -> bytes:
        """The bytes of an HTTP/1.1 request."""
        headers = {"Host": "x", "Connection": "close", "Content-Length": str(len(self.body))} | self.headers
        head = b"".join(
            f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items() if value is not None
        )
        return self.method + b" " + self.target + b" HTTP/1.1\r\n" + head + b"\r\n" + self.body


def corpus() -> list[Case]:
    """Every case; names are unique."""
    bodies = (Case(f"image: {name}", data, expect=expect) for name, data, expect in images())
    parts = (bodies, parameters(), forms(), json_bodies(), heads(), targets(), files())
    cases = [case for part in parts for case in part]
    assert len({case.name for case in cases}) == len(cases)
    return cases


def parameters() -> Iterator[Case]:
    values = [
        "", "0", "-1", "1.5", "1e3", "NaN", "inf", "1e309", "9" * 5000, "0x10", "1_000", "%00", "%zz", "%", "%ff%fe",
        "%0d%0aSet-Cookie:%20a=b", "\u0663".encode().hex(), "%D9%A3", "true", "[]", "null", "' OR 1=1 --",
        "${jndi:ldap://x}", "../../etc/passwd", "<script>", "a" * 20_000,
    ]  # fmt: skip
    for number, value in enumerate(values):
        quoted = value.replace(" ", "%20").encode()
        yield Case(f"top_k {number}: {value[:20]!r}", PNG, target=b"/v1/classify?top_k=" + quoted)
        yield Case(f"model {number}: {value[:20]!r}", PNG, target=b"/v1/classify?model=" + quoted)
    queries = {
        "twice": b"top_k=1&top_k=1",
        "unknown": b"colour=red",
        "unknown and long": b"a" * 5000 + b"=1",
        "of another task": b"iou_threshold=0.5",
        "5000 of them": b"&".join(b"p%d=1" % i for i in range(5000)),
        "semicolons": b"top_k=1;model=x",
        "a name of nothing": b"=1",
        "brackets": b"top_k[]=1",
        "case": b"TOP_K=1",
    }
    yield from (Case(f"query: {name}", PNG, target=b"/v1/classify?" + query) for name, query in queries.items())
    yield Case("query: empty", PNG, target=b"/v1/classify?", expect=GOOD)
    yield Case("query: only ampersands", PNG, target=b"/v1/classify?&&&", expect=GOOD)


def part(head: bytes, data: bytes = PNG) -> bytes:
    return b"--x\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


def forms() -> Iterator[Case]:
    image = b'Content-Disposition: form-data; name="image"'
    end = b"--x--\r\n"
    bad = {
        "nothing": b"",
        "only the end": end,
        "another boundary": part(image).replace(b"--x", b"--y") + b"--y--\r\n",
        "no end": part(image),
        "cut in the image": part(image)[:-60],
        "cut in the head": b"--x\r\nContent-Dis",
        "another field": part(b'Content-Disposition: form-data; name="colour"') + end,
        "a field beside": part(image) + part(b'Content-Disposition: form-data; name="top_k"', b"1") + end,
        "no disposition": part(b"Content-Type: image/png") + end,
        "no name": part(b"Content-Disposition: form-data") + end,
        "head of 1 MB": part(image + b'; filename="' + b"a" * 1_000_000 + b'"') + end,
        "200 heads": part(image + b"\r\nX: y" * 200) + end,
        "head without colon": part(b"Content-Disposition") + end,
        "bare line feeds": part(image).replace(b"\r\n", b"\n") + end,
        "40 images": part(image) * 40 + end,
        "100000 empty parts": (b"--x\r\n\r\n\r\n") * 100_000 + end,
        "noise": bytes(range(256)) * 100,
    }
    yield from (Case(f"form: {name}", body, FORM) for name, body in bad.items())
    names = [
        b'"',
        b"\\",
        b"\xff\xfe",
        "\u202egnp.exe".encode(),
        b"../../../etc/passwd",
        b"C:\\a.png",
        b"%00",
        b"\x00",
        b"a" * 3000,
    ]
    for number, name in enumerate(names):
        body = part(image + b'; filename="' + name + b'"') + end
        yield Case(f"form: file name {number}", body, FORM, expect=GOOD | REFUSED)
    good = {
        "same name twice": part(image + b'; filename="a"') * 2,
        "an empty image among two": part(image) + part(image, b""),
        "text before": b"preamble\r\n" + part(image),
        "wrong part type": part(image + b"\r\nContent-Type: text/html"),
        "extended name": part(image + b"; filename*=UTF-8''%e2%82%ac"),
    }
    yield from (Case(f"form: {name}", body + end, FORM, expect=GOOD | {400}) for name, body in good.items())
    for boundary in ("", "; boundary=", '; boundary=""', "; boundary=" + "b" * 500, "; boundary=x; boundary=y", ";;;"):
        yield Case(f"form: boundary {boundary[:20]!r}", b"--b--", {"Content-Type": "multipart/form-data" + boundary})


def json_bodies() -> Iterator[Case]:
    code = base64.b64encode(PNG).decode()
    one = {"base64": code}
    bad = {
        "nothing": b"",
        "no object": b"7",
        "a list": b"[]",
        "no images": b"{}",
        "null": b'{"images": null}',
        "empty list": b'{"images": []}',
        "object": b'{"images": {}}',
        "a url": b'{"images": [{"url": "http://127.0.0.1:1/a.png"}]}',
        "a file": b'{"images": [{"base64": "file:///etc/passwd"}]}',
        "a number": b'{"images": [{"base64": 7}]}',
        "a field more": json.dumps({"images": [one | {"x": 1}]}).encode(),
        "40 images": json.dumps({"images": [one] * 40}).encode(),
        "100000 lists": b"[" * 100_000,
        "100000 objects": b'{"a":' * 100_000,
        "cut": json.dumps({"images": [one]}).encode()[:-10],
        "not utf-8": b'{"images": [{"base64": "\xff\xfe"}]}',
        "utf-16": json.dumps({"images": [one]}).encode("utf-16"),
        "number without end": b'{"images": ' + b"9" * 100_000 + b"}",
        "NaN": b'{"images": NaN}',
        "url-safe base64": b'{"images": [{"base64": "__--"}]}',
        "a name of a number": json.dumps({"images": [one | {"name": 7}]}).encode(),
    }
    yield from (Case(f"json: {name}", body, JSON) for name, body in bad.items())
    good = {
        "twice the same key": b'{"images": [], "images": [{"base64": "' + code.encode() + b'"}]}',
        "base64 with a line break": json.dumps({"images": [{"base64": code[:9] + "\n" + code[9:]}]}).encode(),
        "base64 without padding": json.dumps({"images": [{"base64": code.rstrip("=")}]}).encode(),
        "a long name": json.dumps({"images": [one | {"name": "n" * 100_000}]}).encode(),
        "a name of half a pair": b'{"images": [{"name": "\\ud800", "base64": "' + code.encode() + b'"}]}',
        "a name of control characters": json.dumps({"images": [one | {"name": "\0\r\n\x1b[2J"}]}).encode(),
    }
    yield from (Case(f"json: {name}", body, JSON, expect=GOOD | {400}) for name, body in good.items())


def heads() -> Iterator[Case]:
    for value in (
        "text/html",
        "application/xml",
        "application/json-seq",
        "image",
        "/",
        "multipart/mixed; boundary=x",
        "\xff",
    ):
        yield Case(f"content-type {value!r}", PNG, {"Content-Type": value}, expect=frozenset({415}))
    for value in ("image/", "image/png; charset=utf-8", "IMAGE/PNG", ""):
        yield Case(f"content-type {value!r} is fine", PNG, {"Content-Type": value}, expect=GOOD)
    for value in ("gzip", "br", "identity, gzip", "x"):
        yield Case(f"content-encoding {value}", PNG, {"Content-Encoding": value}, expect=frozenset({415}))
    for value in ("text/html", "image", "*/*;q=0", ",,,", ";", "application/json;q=0", "a" * 20_000):
        yield Case(f"accept {value[:20]!r}", PNG, {"Accept": value}, expect=frozenset({406}))
    for value in ("*/*;q=x", "application/json;q=1e999", "application/json;q=nan, */*", "," * 5000 + "*/*"):
        yield Case(f"accept {value[-20:]!r} is fine", PNG, {"Accept": value}, expect=GOOD | {406})
    for number, value in enumerate(("\xff\xfe", "a" * 20_000, "a\tb", "<script>")):
        yield Case(f"request id {number}", PNG, {"X-Request-ID": value}, expect=GOOD)
    for value in ("-1", "1e3", "abc", "99999999999999999999", "0x10", "64000001"):
        yield Case(f"content-length {value}", b"", {"Content-Length": value})
    yield Case("chunked and a length", PNG, {"Transfer-Encoding": "chunked"})
    yield Case("unknown transfer encoding", PNG, {"Transfer-Encoding": "gzip"}, expect=frozenset({400, 415, 501}))
    yield Case("range", PNG, {"Range": "bytes=0-1"}, expect=GOOD)
    yield Case("upgrade", PNG, {"Connection": "Upgrade", "Upgrade": "h2c"}, expect=GOOD | REFUSED)
    yield Case("websocket", b"", {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }, method=b"GET")  # fmt: skip
    yield Case("50 kB of heads", PNG, {f"X-{i}": "v" * 500 for i in range(100)}, expect=GOOD | REFUSED)
    yield Case("host of nothing", PNG, {"Host": ""}, expect=GOOD | REFUSED)


def targets() -> Iterator[Case]:
    for target in (
        b"/", b"//", b"/v1", b"/v1/", b"/v1/classify/", b"/v1//classify", b"/V1/CLASSIFY", b"/v1/classify%00",
        b"/v1/%2e%2e/", b"/v1/models/../classify", b"/v1/models/%2e%2e%2f", b"/v1/models/%00", b"/v1/models/%ff",
        b"/v1/models/a@b@c", b"/v1/models/" + b"m" * 20_000, b"/schema.json/", b"/static_content/", b"/docs.json",
        b"/v1/docs/x", b"/.env", b"/livez/x", b"/metrics/..", b"http://other.example/v1/models/x", b"*",
    ):  # fmt: skip
        yield Case(f"GET {target[:40]!r}", target=target, method=b"GET")
    for method in (b"GET", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"HEAD", b"TRACE", b"FOO", b"post"):
        yield Case(f"method {method!r}", PNG, method=method)


def files() -> Iterator[Case]:
    """Routes that end in a name: the playground's files, its examples, a model's card and golden images."""
    names = (
        b"..", b"%2e%2e", b"%2e%2e%2fmanifest.json", b"..%5c..%5cmodel.onnx", b"../model.onnx", b"%252e%252e%252f",
        b"%00", b"warm.png%00", b"warm.png/", b"warm.png/..", b"WARM.PNG", b"warm.json", b"app.js%20", b"%ff",
        b"n" * 20_000, b"%3Cscript%3E", b"__init__.py", b".",
    )  # fmt: skip
    for folder in (
        b"/ui/",
        b"/ui/examples/",
        b"/v1/models/",
        b"/v1/models/colours/golden/",
        b"/v1/models/colours/card/",
    ):
        for name in names:
            yield Case(f"GET {folder.decode()} {name[:30]!r}", target=folder + name, method=b"GET")
    for model in (b"", b"colours@", b"@1", b"colours@01", b"colours@1@1", b"colours@9", b"%2e%2e", b"m" * 20_000):
        yield Case(f"card of {model[:20]!r}", target=b"/v1/models/" + model + b"/card", method=b"GET")
    for target in (b"/ui", b"/ui/app.js", b"/v1/models/colours/card", b"/v1/models/colours/golden/warm.png"):
        for method in (b"POST", b"PUT", b"DELETE", b"TRACE"):
            yield Case(f"{method.decode()} {target.decode()}", PNG, target=target, method=method)
        for header, value in (
            ("If-None-Match", "\xff" * 100), ("If-None-Match", "a" * 20_000), ("Range", "bytes=5-1"), ("Accept", "x"),
            ("Content-Length", "20"),
        ):  # fmt: skip
            body = b"x" * 20 if header == "Content-Length" else b""
            name = f"GET {target.decode()} with {header} {value[:9]!r}"
            yield Case(name, body, {header: value}, target=target, method=b"GET", expect=GOOD)
    yield Case(
        "GET / of a browser", headers={"Accept": "text/html"}, target=b"/", method=b"GET", expect=frozenset({307})
    )
