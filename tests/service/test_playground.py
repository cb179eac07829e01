"""/ui as files over HTTP: who may load them, under which policy, and that they keep to it.

What the page does is tested in a browser: test_playground_browser.py.
"""

import asyncio
import hashlib
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import httpx

from foveal.service.application import Application
from foveal.service.http import playground
from foveal.service.settings import Settings

ROOT = Path(__file__).parents[2]
UI = ROOT / "service" / "ui"
SCRIPTS = sorted(UI.glob("*.js"))
KEY = "a key"


def get(path: str, *, api_keys: str = "", **headers: str) -> httpx.Response:
    """One request to a service that has not loaded any model yet."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application(api_keys), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


@cache
def application(api_keys: str) -> Application:
    return Application(Settings(api_keys=api_keys))


def test_every_file_is_served_under_the_policy() -> None:
    for name in ("", *(f"/{path.name}" for path in UI.iterdir())):
        response = get("/ui" + name)
        assert response.status_code == 200
        assert response.headers["content-type"] in playground.MEDIA_TYPES.values()
        assert response.headers["x-content-type-options"] == "nosniff"
        policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
        assert policy.pop("default-src") == "'none'"
        assert policy.pop("img-src") == "'self' blob:"
        assert {policy.pop(f"{kind}-src") for kind in ("script", "style", "connect")} == {"'self'"}
        assert {policy.pop(kind) for kind in ("base-uri", "form-action", "frame-ancestors", "trusted-types")} == {
            "'none'"
        }
        assert policy == {"require-trusted-types-for": "'script'"}


def test_a_file_is_sent_once() -> None:
    first = get("/ui/app.js")
    again = get("/ui/app.js", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_nothing_else_is_served() -> None:
    for path in ("/ui/nothing.js", "/ui/..%2fapp.py", "/ui/examples/shapes.png"):
        response = get(path)
        assert response.status_code == 404, path
        assert response.headers["content-type"] == "application/problem+json"


def test_the_root_leads_people_to_the_page_and_programs_nowhere() -> None:
    led = get("/", accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (led.status_code, led.headers["location"]) == (307, "ui")
    assert get("/", accept="*/*").status_code == 404
    assert get("/ui/").headers["location"] == "../ui"


def test_with_keys_the_page_is_open_and_the_data_is_not() -> None:
    keys = hashlib.sha256(KEY.encode()).hexdigest()
    for path in ("/ui", "/ui/app.js"):
        assert get(path, api_keys=keys).status_code == 200
    data = ("/v1/models", "/v1/models/shapes/card", "/v1/models/shapes/golden/high.png", "/v1/docs", "/uix", "/metrics")
    for path in data:
        assert get(path, api_keys=keys).status_code == 401, path
        assert get(path, api_keys=keys, authorization=f"Bearer {KEY}").status_code != 401, path


class _Page(HTMLParser):
    """Everything that loads or runs something."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "href"):
                self.targets.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
        if tag == "style" or (tag == "script" and "src" not in dict(attributes)):
            self.inline.append(tag)


def test_the_page_runs_nothing_inline_and_loads_nothing_from_elsewhere() -> None:
    page = _Page()
    page.feed((UI / "index.html").read_text())
    assert page.inline == []
    for target in page.targets:
        assert target == "v1/docs" or (UI / target.removeprefix("ui/")).is_file(), target


def test_scripts_never_turn_text_into_markup_or_code() -> None:
    danger = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|javascript:"
    )
    for script in SCRIPTS:
        text = script.read_text()
        assert danger.findall(text) == [], script.name
        assert len(text.splitlines()) < 300, script.name
        for target in re.findall(r'from "([^"]+)"', text):
            assert (UI / target).is_file(), f"{script.name}: {target}"


def test_every_script_is_used() -> None:
    used = {"app.js"} | {name for script in SCRIPTS for name in re.findall(r'from "\./([^"]+)"', script.read_text())}
    assert used == {script.name for script in SCRIPTS}
