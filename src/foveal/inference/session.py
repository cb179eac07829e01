"""ONNX Runtime sessions (`open_session`): settings in, and what really runs read back."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt
import onnxruntime as ort

from foveal.errors import BadPackage, BadRequest, OutOfMemory, ProviderUnavailable, UnknownName
from foveal.memory import memory_limit
from foveal.options import WholeNumber
from foveal.packages.package import WEIGHTS

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_NO_MEMORY = ("Available memory of", "Failed to allocate memory", "bad_alloc", "bad allocation")
THREADS = WholeNumber("threads inside one operator", 0, 1024)


ARENA_SHARE = 0.75  # of the memory that the process may use: a graph that asks for more fails, and not the process


# One arena of CPU memory for all sessions of the process. What a run has freed serves the next one, of whichever model,
# and the operating system is not asked for it page by page, which took an eighth of a large run; with an arena for each
# session, ONNX Runtime's own way, every model would keep its peak for ever.
ort.create_and_register_allocator(
    ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT),
    ort.OrtArenaCfg({"max_mem": int(ARENA_SHARE * memory_limit())}),
)


class Node(Protocol):
    """An input or output of a session, as ONNX Runtime describes it."""

    @property
    def name(self) -> str:
        """Its name in the graph."""
        ...

    @property
    def type(self) -> str:
        """E.g. "tensor(uint8)"."""
        ...

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Sizes; a name, or None, where the dimension is dynamic."""
        ...


class Session(Protocol):
    """What a pipeline needs of an ort.InferenceSession; a torch network can answer to it too."""

    def get_inputs(self) -> Sequence[Node]:
        """The inputs, in the graph's order."""
        ...

    def get_outputs(self) -> Sequence[Node]:
        """The outputs, in the graph's order."""
        ...

    def run(
        self, output_names: Sequence[str], input_feed: Mapping[str, npt.NDArray[Any]]
    ) -> Sequence[npt.NDArray[Any]]:
        """Input name -> array; the named outputs, in order."""
        ...


@dataclass(frozen=True)
class SessionSettings:
    """How to run a graph."""

    provider: str = "cpu"  # cpu | cuda | tensorrt | openvino
    threads: int = 0  # threads inside one operator; 0: one per physical core
    strict: bool = True  # refuse to fall back to the CPU in silence

    def __post_init__(self) -> None:
        if not isinstance(self.provider, str) or self.provider not in PROVIDERS:
            raise UnknownName.among("execution provider", self.provider, PROVIDERS)
        try:
            object.__setattr__(self, "threads", THREADS.check(self.threads))  # an int, also of NumPy's
        except ValueError as error:
            raise BadRequest(f"threads: {error}, got {self.threads!r:.60}") from None


class Interrupt:
    """Ends the loading and the runs of one session from another thread: at the next node, with an error there."""

    def __init__(self) -> None:
        self.run_options = ort.RunOptions()
        self.run_options.log_severity_level = 4  # what a run fails of, its exception says
        self._loading: list[ort.SessionOptions] = []

    def watch(self, options: ort.SessionOptions) -> None:
        """Have the loading of a session with these options end too."""
        self._loading.append(options)

    def set(self) -> None:
        """End what is running, and let nothing run any more."""
        self.run_options.terminate = True
        for options in self._loading:
            options.set_load_cancellation_flag(True)


class InterruptibleSession:
    """A session whose runs an `Interrupt` ends."""

    def __init__(self, session: ort.InferenceSession, interrupt: Interrupt) -> None:
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs
        self._session, self._options = session, interrupt.run_options

    def run(
        self, output_names: Sequence[str], input_feed: Mapping[str, npt.NDArray[Any]]
    ) -> Sequence[npt.NDArray[Any]]:
        """As `Session.run`."""
        outputs: Sequence[npt.NDArray[Any]] = self._session.run(output_names, input_feed, self._options)
        return outputs


def open_session(
    model: bytes, settings: SessionSettings, *, weights: bytes = b"", interrupt: Interrupt | None = None
) -> tuple[Session, str]:
    """Load a graph; returns the session and the short name of the provider that it ACTUALLY runs on.

    The session copies what it needs of both arguments and keeps neither.

    Args:
        model: the ONNX file.
        settings: how to run it.
        weights: its external data, which it knows as model.onnx.data; empty: it has none.
        interrupt: ends loading and runs; None: nothing does.

    Raises:
        BadPackage: ONNX Runtime cannot load the graph.
        ProviderUnavailable: strict, and ONNX Runtime fell back to another provider.
    """
    options = _session_options(settings, weights)
    if interrupt is not None:
        interrupt.watch(options)
    # ORT raises for a provider that was not compiled in: leave it out, so that this and a provider that does not start
    # on this machine are the same fallback, seen below.
    compiled_in = ort.get_available_providers()
    wanted = [n for n in dict.fromkeys((PROVIDERS[settings.provider], PROVIDERS["cpu"])) if n in compiled_in]
    try:
        session = ort.InferenceSession(model, options, providers=wanted)
    except Exception as error:  # ORT raises its own pybind types without a public base
        raise BadPackage(f"ONNX Runtime cannot load the graph: {str(error)[:300]}") from None
    session._model_bytes = None  # ORT's Python class keeps the file for `set_providers`, which is never called here
    # get_providers() of the SESSION is the truth; get_available_providers() only lists what was compiled in.
    short = {full: name for name, full in PROVIDERS.items()}
    actual = short.get(session.get_providers()[0], session.get_providers()[0])
    if settings.strict and actual != settings.provider:
        raise ProviderUnavailable(
            f"expected execution provider {settings.provider}, got {actual}; install the extra that brings it, "
            "a service may allow the fallback by FOVEAL_STRICT_PROVIDER=0"
        )
    return (session if interrupt is None else InterruptibleSession(session, interrupt)), actual


def _session_options(settings: SessionSettings, weights: bytes) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.use_env_allocators", "1")  # the arena above
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads leave the cores to decoding
    # External data comes from memory, where it was hashed. Without this, ORT would read whatever file of that name lies
    # in the working folder.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    if weights:
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
    return options


def run_graph(
    session: Session, output_names: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]]
) -> Sequence[npt.NDArray[Any]]:
    """One run of a session.

    Raises:
        OutOfMemory: the graph asked for more than the arena or the machine has.
    """
    try:
        return session.run(output_names, feeds)
    except Exception as error:  # of ORT's own types, without a public base; only its words tell them apart
        if any(words in str(error) for words in _NO_MEMORY):
            raise OutOfMemory("the graph asked for more memory than this process may use") from error
        raise
