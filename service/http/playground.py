"""Playground routes (/ui): static files from service/ui, read once and kept in memory.

The files hold no data, so these paths need no API key; requests from the page to /v1 do, when keys are set. The page
loads nothing from other hosts and runs no inline script or style; the policy below enforces that.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from foveal.errors import UnknownName
from foveal.service.errors import NoSuchPath

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # blob: images chosen by the user; sent to /v1 only
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # no string is parsed as markup
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",  # revalidated each time, so that an upgrade is visible at once
}


@dataclass(frozen=True)
class _Asset:
    body: bytes
    media_type: str
    etag: str


def routes() -> list[Route]:
    """The page and its files; `/` redirects browsers to the page and is 404 for other clients."""
    return [
        Route("/", _root),
        Route("/ui", _file),
        Route("/ui/", _page),  # its files are named relative to /ui
        Route("/ui/{name}", _file),
    ]


async def _root(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("ui", 307)
    raise NoSuchPath("nothing at '/'; /v1/docs lists what there is, /ui shows it")


async def _page(_request: Request) -> Response:
    return RedirectResponse("../ui", 307)


async def _file(request: Request) -> Response:
    return _respond(request, request.path_params.get("name", "index.html"))


def is_public(path: str) -> bool:
    """Whether a path is served without an API key: the playground's files."""
    return path in ("/", "/ui") or path.startswith("/ui/")


@cache
def _assets() -> dict[str, _Asset]:
    """Files of the page by name, in memory: no path of a request reaches the file system."""
    found = {}
    for file in (resources.files("foveal.service") / "ui").iterdir():
        media_type = MEDIA_TYPES.get("." + file.name.rpartition(".")[2])
        if media_type:
            body = file.read_bytes()
            found[file.name] = _Asset(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return found


def _respond(request: Request, name: str) -> Response:
    assets = _assets()
    if name not in assets:
        raise UnknownName.among("file", name[:80], assets)
    asset = assets[name]
    headers = HEADERS | {"etag": asset.etag}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media_type, headers=headers)
