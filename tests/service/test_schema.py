"""Conformance with the OpenAPI document: schemathesis generates valid and invalid requests from it."""

import copy
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from foveal.service.http.openapi import document
from tests.helpers.hostile_images import CONTAINERS, sample
from tests.helpers.servers import Server

IMAGES = [sample(container) for container in CONTAINERS]
schemathesis.openapi.media_type("image/*", st.one_of(st.sampled_from(IMAGES), st.binary(max_size=300)))
REAL = {"name": ["colours", "colours@1", "tints"], "image": ["warm.png"]}  # what the server of these tests has


def with_real_names() -> dict[str, Any]:
    """The document, path parameters drawn from real names as well: made up ones hardly ever lead to an image."""
    found = copy.deepcopy(document())
    for methods in found["paths"].values():
        for parameter in methods.get("get", {}).get("parameters", []):
            parameter["schema"] = {"anyOf": [{"enum": REAL[parameter["name"]]}, parameter["schema"]]}
    return found


schema = schemathesis.openapi.from_dict(with_real_names())
# the names of models and labels are not in the document: a string of the right type may be none of them
UNPROMISED = [positive_data_acceptance]


def check(case: Case, server: Server) -> None:
    answer = case.call(base_url=server.url)
    assert answer.status_code < 500 or answer.status_code == 503, answer.content[:300]
    case.validate_response(answer, excluded_checks=UNPROMISED)


@schema.parametrize()
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_document(case: Case, server: Server) -> None:
    check(case, server)


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/v1/models/colours@1", "application/json"),
        ("/v1/models/tints/card", "text/markdown"),
        ("/v1/models/colours/golden/warm.png", "image/png"),
    ],
)
def test_what_has_a_real_name_is_there(server: Server, path: str, media_type: str) -> None:
    answer = httpx.get(server.url + path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert answer.content


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_document_at_length(case: Case, server: Server) -> None:
    check(case, server)
