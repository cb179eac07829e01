"""Memory of graph runs: all sessions of a process take it from one arena (session.py)."""

import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import psutil

from foveal.inference.session import Session, SessionSettings, open_session

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
