"""Memory of sessions: one arena for all runs of a process, and no second copy of a graph (session.py)."""

import gc
import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import psutil
import pytest

from foveal.inference.session import Session, SessionSettings, open_session
from tests.helpers.packages import with_external_data

MEGABYTES = 48  # of each float tensor inside the graph; glibc would give so much back after each run


def greedy_session() -> Session:
    """A graph of a few large tensors between a small input and a small output."""
    size = MEGABYTES * 1_000_000 // 4
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Expand", ["x", "size"], ["large"]),
            onnx.helper.make_node("Exp", ["large"], ["changed"]),
            onnx.helper.make_node("ReduceMean", ["changed"], ["y"], keepdims=0),
        ],
        "greedy",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])],
        [onnx.numpy_helper.from_array(np.array([size], np.int64), "size")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    return open_session(model.SerializeToString(), SessionSettings(threads=1))[0]


def run(session: Session) -> None:
    (mean,) = session.run(["y"], {"x": np.zeros(1, np.float32)})
    assert mean == 1


def test_a_run_takes_the_memory_that_the_last_one_freed() -> None:
    session = greedy_session()
    with ThreadPoolExecutor(1) as thread:  # as in the service, where glibc gives memory back sooner still
        for _ in range(3):  # the second run plans one block for all tensors, in the pattern of the first
            thread.submit(run, session).result()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            thread.submit(run, session).result()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 5 * 1000  # fresh pages of 4 kB would be 12,000 a run


def test_sessions_share_their_peak() -> None:
    first, second = greedy_session(), greedy_session()
    for _ in range(3):
        run(first)
    before = psutil.Process().memory_info().rss
    for _ in range(3):
        run(second)
    assert psutil.Process().memory_info().rss - before < MEGABYTES * 1_000_000 / 4


def large_graph() -> bytes:
    """MEGABYTES of weights, used by a node that ONNX Runtime does not compute in advance."""
    weights = np.ones((MEGABYTES * 1_000_000 // 4000, 1000), np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["weights", "row"], ["y"])],
        "large",
        [onnx.helper.make_tensor_value_info("row", onnx.TensorProto.INT64, [])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1000])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("outside", [False, True])
def test_a_session_holds_its_weights_once(outside: bool) -> None:
    model, weights = large_graph(), b""
    if outside:
        model, weights = with_external_data(onnx.load_from_string(model), "weights")
    size = len(model) + len(weights)
    before = psutil.Process().memory_info().rss
    session, _ = open_session(model, SessionSettings(threads=1), weights=weights)
    del model, weights
    gc.collect()
    assert session.run(["y"], {"row": np.array(7)})[0].sum() == 1000
    assert psutil.Process().memory_info().rss - before < size / 4  # it has its own copy; ours, counted before, is gone
