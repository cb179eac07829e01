"""Documentation page (/v1/docs): the OpenAPI document as one HTML page that loads no other resource."""

import json
from html import escape
from typing import Any

from foveal.service.errors import anchor
from foveal.service.http.openapi import REQUEST_ERRORS

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#8881;padding:.6rem;overflow:auto}
td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}h2{margin-top:2.5rem}
:root{color-scheme:light dark}"""


def page(document: dict[str, Any]) -> str:
    """The page as HTML; every error has an anchor, to which `type` of a problem object links."""
    info = document["info"]
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f"<h3 id='{escape(name)}'><code>{escape(name)}</code></h3><pre>{escape(json.dumps(schema, indent=1))}</pre>"
        for name, schema in document["components"]["schemas"].items()
    ]
    errors = [
        f"<tr id='{anchor(error.title)}'><td>{error.status}</td><td>{escape(error.title)}</td>"
        f"<td>{escape((error.__doc__ or '').strip())}</td></tr>"
        for error in REQUEST_ERRORS
    ]
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{info['title']}</title><style>{STYLE}</style>"
        f"<h1>{info['title']} {info['version']}</h1><p>{escape(info['summary'])} "
        "Machine-readable: <a href='/v1/openapi.json'>/v1/openapi.json</a>.</p>"
        f"{''.join(operations)}<h2>Errors</h2><p><code>application/problem+json</code>, RFC 9457.</p>"
        f"<table>{''.join(errors)}</table><h2>Schemas</h2>{''.join(schemas)}</html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p.get('description', p['in']))}</td>"
        f"<td><code>{escape(json.dumps(p['schema']))}</code></td></tr>"
        for p in operation.get("parameters", [])
    )
    body = "".join(
        f"<li><code>{escape(media)}</code></li>" for media in operation.get("requestBody", {}).get("content", {})
    )
    responses = ", ".join(f"{status} {escape(a['description'])}" for status, a in operation["responses"].items())
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
        + (f"<table>{rows}</table>" if rows else "")
        + (f"<p>Body:</p><ul>{body}</ul>" if body else "")
        + f"<p>Responses: {responses}</p>"
    )
