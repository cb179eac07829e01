"""Parts of the service alone: content negotiation, admission, batching, the OpenAPI document."""

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from foveal.formats import Entry, entry_bytes
from foveal.imaging.preprocess import ImageTransform
from foveal.options import MASK_FORMATS, OPTIONS, Options
from foveal.results import Result
from foveal.service.errors import Busy, NotAcceptable
from foveal.service.http.negotiate import negotiate
from foveal.service.http.openapi import REQUEST_ERRORS, document
from foveal.service.http.routes import Routes
from foveal.service.inference.batching import Batcher, Gate
from foveal.service.inference.memory import MemoryBudget
from foveal.service.inference.threads import Work, WorkThreads
from foveal.service.observability.metrics import Metrics
from foveal.tasks import TASKS, Prepared
from foveal.tasks.classification import Classification
from foveal.tasks.detections import Detections
from foveal.tasks.instance_masks import InstanceMasks
from foveal.tasks.semantic_segmentation import SemanticMap

OFFERED = ["application/json", "image/png", "image/jpeg"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("application/json;q=0.5, image/jpeg", "image/jpeg"),
        ("image/*;q=0.9, image/png;q=0.1", "image/jpeg"),
        ("IMAGE/PNG; charset=x", "image/png"),
        ("text/html, */*;q=0.1", "application/json"),
        ("image/png;q=nonsense", "image/png"),
    ],
)
def test_negotiate(accept: str | None, chosen: str) -> None:
    assert negotiate(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["text/html", "*/*;q=0", "image", ",", ";q=1"])
def test_negotiate_refuses(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="image/jpeg"):
        negotiate(accept, OFFERED)


def test_gate_counts_and_lets_go() -> None:
    gate = Gate(3, "images")
    with gate.admit(2):
        with pytest.raises(Busy), gate.admit(2):
            raise AssertionError("let in")
        with gate.admit(1):
            assert gate.in_flight == 3
    assert gate.in_flight == 0
    with gate.admit(99):  # an empty gate is never too small
        pass


def test_gate_measures_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("foveal.service.inference.batching.time.monotonic", lambda: now)
    gate = Gate(10, "images")
    for _ in range(200):  # one image every 2 s
        with gate.admit():
            now += 2.0
    with gate.admit(10), pytest.raises(Busy) as raised, gate.admit():
        pass
    assert raised.value.headers["retry-after"] == "20"


def prepared(value: int) -> Prepared:
    return Prepared(np.full((1, 1, 3), value, np.uint8), ImageTransform((1, 1), (1, 1), (1, 1), (1.0, 1.0)))


class Graph:
    """An infer function that notes its batches and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.started = threading.Event()

    def __call__(self, batch: Sequence[Prepared], options: Sequence[Options]) -> list[dict[str, Any]]:
        values = [int(item.model_input[0, 0, 0]) for item in batch]
        self.batches.append(values)
        self.started.set()
        assert self.go.wait(10)
        if 13 in values:
            raise ValueError("13")
        return [{"out": np.array(value)} for value in values]


def work() -> Work:
    return Work("", MemoryBudget().lease())


def batcher_of(graph: Graph, key: Any = lambda options: None, size: int = 4) -> Batcher:
    return Batcher(graph, key, size, WorkThreads(1, 60))


def batched(values: list[int], *, key: Any = lambda options: None, size: int = 4) -> tuple[Graph, list[Any]]:
    """The first value goes alone; the others wait for it and are then taken as the batcher likes."""
    graph = Graph()

    async def whole() -> list[Any]:
        batcher = batcher_of(graph, key, size)
        tasks = [asyncio.create_task(batcher.run(prepared(v), Options(top_k=v + 1), work())) for v in values]
        await asyncio.sleep(0)
        await asyncio.to_thread(graph.started.wait, 10)
        graph.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return graph, asyncio.run(whole())


def test_batcher_takes_what_waits_and_gives_everyone_his_own() -> None:
    graph, results = batched([0, 1, 2, 3, 4, 5])
    assert graph.batches == [[0], [1, 2, 3, 4], [5]]
    assert [int(ran.outputs["out"]) for ran in results] == [0, 1, 2, 3, 4, 5]
    assert [ran.batch_size for ran in results] == [1, 4, 4, 4, 4, 1]


def test_batcher_mixes_only_equal_keys_and_keeps_the_order() -> None:
    graph, results = batched([0, 1, 2, 3, 4, 5], key=lambda options: options.top_k % 2)
    assert graph.batches == [[0], [1, 3, 5], [2, 4]]
    assert [int(ran.outputs["out"]) for ran in results] == [0, 1, 2, 3, 4, 5]


def test_one_bad_item_costs_nobody_else() -> None:
    _, results = batched([0, 1, 13, 3])
    assert isinstance(results[2], ValueError)
    assert [int(ran.outputs["out"]) for ran in (results[0], results[1], results[3])] == [0, 1, 3]


def test_what_was_given_up_is_not_computed() -> None:
    graph = Graph()

    async def whole() -> None:
        batcher = batcher_of(graph)
        tasks = [asyncio.create_task(batcher.run(prepared(v), Options(), work())) for v in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        graph.go.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(whole())
    assert graph.batches == [[0], [2]]


def test_a_lonely_image_runs_in_the_callers_thread() -> None:
    graph = Graph()
    graph.go.set()
    ran = batcher_of(graph).run_at_once(prepared(7), Options())
    assert ran is not None
    assert (int(ran.outputs["out"]), ran.batch_size) == (7, 1)


def test_nobody_overtakes_and_nobody_is_forgotten() -> None:
    """While one runs at once, a second is sent to the queue, and is taken as soon as the first is done."""
    graph = Graph()

    async def whole() -> Any:
        batcher = batcher_of(graph)
        first = asyncio.create_task(asyncio.to_thread(batcher.run_at_once, prepared(0), Options()))
        await asyncio.to_thread(graph.started.wait, 10)
        assert batcher.run_at_once(prepared(1), Options()) is None, "the session is taken"
        second = asyncio.create_task(batcher.run(prepared(2), Options(), work()))
        await asyncio.sleep(0)
        graph.go.set()
        async with asyncio.timeout(10):
            return await asyncio.gather(first, second)

    assert [int(ran.outputs["out"]) for ran in asyncio.run(whole())] == [0, 2]
    assert graph.batches == [[0], [2]]


def test_a_fault_at_once_frees_the_session() -> None:
    graph = Graph()
    graph.go.set()
    batcher = batcher_of(graph)
    with pytest.raises(ValueError, match="13"):
        batcher.run_at_once(prepared(13), Options())
    assert batcher.run_at_once(prepared(1), Options()) is not None


# --- OpenAPI ---


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def test_openapi_names_every_route_and_no_other() -> None:
    routes = Routes(None, None, Metrics()).all()  # type: ignore[arg-type]
    served = {(route.path, method.lower()) for route in routes for method in route.methods or () if method != "HEAD"}
    documented = {(path, method) for path, methods in document()["paths"].items() for method in methods}
    assert documented - served == {("/livez", "get"), ("/readyz", "get")}, "the probes are BentoML's"
    pages = {path for path, _ in served - documented}
    assert pages
    assert all(path == "/" or path.startswith("/ui") for path in pages), "for people, not for programs"


def test_openapi_is_whole() -> None:
    found = document()
    assert found["openapi"] == "3.1.0"
    for reference in references(found):
        assert reference.startswith("#/components/schemas/")
        assert reference.rsplit("/", 1)[1] in found["components"]["schemas"]
    assert {f.name for f in fields(Options)} == OPTIONS.keys()


def test_every_task_has_a_schema_and_its_parameters() -> None:
    for task in TASKS.values():
        assert task.entry.__name__ in document()["components"]["schemas"]
        operation = document()["paths"][f"/v1/{task.endpoint}"]["post"]
        assert {p["name"] for p in operation["parameters"]} == {"model", *task.option_names}


def test_every_error_of_a_request_is_documented() -> None:
    documented = set(document()["paths"]["/v1/classify"]["post"]["responses"])
    assert {str(error.status) for error in REQUEST_ERRORS} | {"200"} == documented
    assert documented == {"200", "400", "401", "404", "405", "406", "408", "413", "415", "422", "429", "503", "504"}


# --- schemas against what the tasks really render ---


def results() -> list[tuple[str, Result]]:
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), ("a", "b"), (9, 12)
    two = np.array([[1, 1, 6, 6], [0, 0, 12, 9]], np.float32), np.array([0.9, 0.5], np.float32), np.array([1, 0])
    masks = InstanceMasks(np.ones((2, 28, 28), np.float32))
    class_map = np.arange(108, dtype=np.uint8).reshape(9, 12) % 2
    return [
        ("classification", Classification(two[1], two[2], ("a", "b"), (9, 12))),
        ("object-detection", Detections(*two, ("a", "b"), (9, 12))),
        ("object-detection", Detections(*none)),
        ("instance-segmentation", Detections(*two, ("a", "b"), (9, 12), masks)),
        ("semantic-segmentation", SemanticMap(class_map, ("a", "b"), (9, 12))),
    ]


@pytest.mark.parametrize("mask_format", [None, *MASK_FORMATS])
def test_schemas_describe_what_is_rendered(mask_format: str | None) -> None:
    seen = set()
    for name, result in results():
        if name == "semantic-segmentation" and mask_format == "polygon":
            continue  # refused by the task
        rendered = json.loads(entry_bytes(Entry("a.png", result), name, Options(mask_format=mask_format)))
        TASKS[name].entry.model_validate(rendered)
        seen.add(name)
    assert seen >= TASKS.keys() - ({"semantic-segmentation"} if mask_format == "polygon" else set())
