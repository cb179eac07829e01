"""Settings of the service (`Settings`): one FOVEAL_* environment variable each, with unit and reason of its default."""

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from foveal.errors import FovealError
from foveal.imaging.decode import MAX_BYTES, MAX_PIXELS

if TYPE_CHECKING:
    from foveal.inference.session import SessionSettings

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class BadSetting(FovealError):
    """A FOVEAL_* variable is malformed or out of range; the message names it."""

    title = "Setting is not valid"


class Settings(BaseSettings):
    """Settings as read from the environment at start."""

    model_config = SettingsConfigDict(env_prefix="FOVEAL_", frozen=True, extra="ignore")

    zoo: Path = Field(Path("zoo"), description="folder of the model packages to serve, as NAME/VERSION/")
    default_models: dict[str, str] = Field(
        {}, description='model of each task for requests without ?model=, as JSON: {"classification": "shapes"}; '
        "default of a task: the alphabetically first model, newest version"
    )  # fmt: skip

    provider: str = Field("cpu", description="ONNX Runtime execution provider: cpu, cuda, tensorrt, openvino")
    strict_provider: bool = Field(
        True,
        description="not ready if a model fell back to the CPU; false: serve, and report it in /v1/models",
    )
    ort_threads: Annotated[int, Field(ge=0)] = Field(
        0, description="threads inside one ONNX operator; 0: one per physical core"
    )
    image_threads: Annotated[int, Field(ge=0)] = Field(
        0, description="threads for decoding, preprocessing and rendering; 0: one per core, since these are CPU-bound"
    )
    workers: Count = Field(
        1, description="server processes; each loads every model. One suffices on CPU, where the threads use all cores"
    )
    batch_size: Annotated[int, Field(ge=0)] = Field(
        0,
        description="images in one graph run at most; 0: 1 on the CPU (more gains nothing), else the package's maximum",
    )
    reload_s: Annotated[float, Field(ge=0)] = Field(
        5, description="seconds between scans of the zoo for added, changed or removed packages; 0: only on SIGHUP"
    )

    max_body_bytes: Count = Field(
        MAX_BYTES, description="bytes of a request body at most; a larger one is rejected unread"
    )
    max_pixels: Count = Field(MAX_PIXELS, description="width x height of one image at most, as its header states them")
    max_images: Count = Field(32, description="images in a request at most; limits how long a request occupies a model")
    max_requests: Count = Field(
        256, description="requests in flight at most; limits memory: each may hold max_body_bytes"
    )
    max_waiting_images: Count = Field(
        128, description="images of one model in flight or queued at most; further requests get 429"
    )
    upload_idle_s: Seconds = Field(10, description="seconds without a byte of the body until 408")
    upload_s: Seconds = Field(60, description="seconds for the whole body until 408: 64 MB at 10 Mbit/s take 51")
    request_s: Seconds = Field(30, description="seconds from the last byte of the body to the response, else 504")
    memory_budget_mb: Annotated[int, Field(ge=0)] = Field(
        0,
        description="megabytes that all requests in flight may take (bodies, decoded pixels, answers until written); "
        "more wait, then get 503. 0: 80 % of the memory limit (cgroup, else machine), less what the process takes idle",
    )
    stuck_s: Seconds = Field(
        15, description="seconds beyond request_s until a thread that does not return turns /livez to 503"
    )
    grace_s: Seconds = Field(
        35,
        description="seconds from SIGTERM until the process ends, whatever still runs; longer than request_s, so that "
        "requests in flight are answered",
    )
    load_s: Seconds = Field(
        60, description="seconds to load and check one package; more for TensorRT, which builds its engine in them"
    )

    head_s: Seconds = Field(10, description="seconds for a request's head until its connection is closed")
    keep_alive_s: Seconds = Field(
        75, description="seconds until an idle connection is closed; longer than the proxy's own (nginx: 60), so that "
        "the proxy closes first and sends no request into a closing connection"
    )  # fmt: skip
    write_s: Seconds = Field(
        10, description="seconds in which a client reads 64 kB of its answer, or the rest; else it is disconnected"
    )
    max_connections: Count = Field(
        2048, description="open connections at most, and 256 fewer than descriptors (ulimit -n) at most: beyond them "
        "the one that has waited longest for its client is closed"
    )  # fmt: skip
    drain_s: Annotated[float, Field(ge=0)] = Field(
        2, description="seconds from SIGTERM until the port is closed: /readyz is 503, requests are still answered, "
        "each with Connection: close. Longer than the load balancer takes to notice; none after Ctrl-C"
    )  # fmt: skip

    log_requests: bool = Field(
        True,
        description="one line of JSON on stderr for each request; of rejections (429) one line a second, with their "
        "number; health probes are not logged",
    )
    otel_endpoint: str = Field(
        "", description="base URL of an OpenTelemetry collector (OTLP over HTTP), http://collector:4318; empty: no "
        "traces. Needs the extra `otel`"
    )  # fmt: skip
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="SHA-256 digests of the accepted API keys, hex, separated by commas; empty: no authentication. "
        "`printf %s KEY | sha256sum`; the keys themselves are not stored"
    )  # fmt: skip
    key_requests_per_s: Annotated[float, Field(ge=0)] = Field(
        0, description="rate limit of each API key in requests a second, with bursts of twice as many; 0: no limit"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins whose web pages may send requests, separated by commas; empty: CORS is off"
    )

    @field_validator("api_keys", "cors_origins", mode="before")
    @classmethod
    def _separate(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("api_keys")
    @classmethod
    def _hashed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch("[0-9a-fA-F]{64}", digest) for digest in value):
            raise ValueError("expected sha256 digests of 64 hex digits, not the keys themselves")
        return tuple(digest.lower() for digest in value)

    def session(self) -> "SessionSettings":
        """Settings of the ONNX Runtime sessions."""
        from foveal.inference.session import SessionSettings  # not at the top: it imports ONNX Runtime

        return SessionSettings(self.provider, self.ort_threads, self.strict_provider)

    @property
    def image_thread_count(self) -> int:
        """`image_threads`, or the number of cores that this process may use."""
        return self.image_threads or len(os.sched_getaffinity(0))


@cache
def from_environment() -> Settings:
    """The settings of this process.

    Raises:
        BadSetting: a variable is malformed or out of range.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "FOVEAL_" + str(first["loc"][0]).upper()
        got = "" if name == "FOVEAL_API_KEYS" else f", got {str(first['input'])[:80]!r}"  # it may be a key
        raise BadSetting(f"{name}: {first['msg']}{got}") from None
