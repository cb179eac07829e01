"""Every knob of the service: a FOVEAL_* environment variable each, with its unit and the reason for its default."""

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
    """Read from the environment once, at start; frozen."""

    model_config = SettingsConfigDict(env_prefix="FOVEAL_", frozen=True, extra="ignore")

    zoo: Path = Field(Path("zoo"), description="folder NAME/VERSION/ of the model packages to serve")
    default_models: dict[str, str] = Field(
        {}, description='task -> model for requests without ?model=, as JSON: {"classification": "shapes"}; '
        "a task that is not named takes the alphabetically first model, newest version"
    )  # fmt: skip

    provider: str = Field("cpu", description="ONNX Runtime execution provider: cpu, cuda, tensorrt, openvino")
    strict_provider: bool = Field(
        True, description="never turn ready on a silent fallback to the CPU; off: serve, and say so in /v1/models"
    )
    ort_threads: Annotated[int, Field(ge=0)] = Field(
        0, description="threads inside one ONNX operator; 0: one per physical core"
    )
    image_threads: Annotated[int, Field(ge=0)] = Field(
        0, description="threads that decode, preprocess and render; 0: one per core, since all of it is computing"
    )
    workers: Count = Field(
        1, description="server processes; each loads every model. One suffices on CPU: the threads keep the cores busy"
    )
    batch_size: Annotated[int, Field(ge=0)] = Field(
        0, description="images in one graph run; 0: 1 on the CPU (more gains nothing there), else the proved maximum"
    )
    reload_s: Annotated[float, Field(ge=0)] = Field(
        5, description="seconds between looks at the zoo for new, changed or removed packages; 0: only on SIGHUP"
    )

    max_body_bytes: Count = Field(MAX_BYTES, description="bytes of one request; more is refused before it is read")
    max_pixels: Count = Field(MAX_PIXELS, description="width x height of one image, as its header states them")
    max_images: Count = Field(32, description="images in one request; bounds what one client can hold up")
    max_requests: Count = Field(
        256, description="requests being read or answered at once; bounds memory: each may hold max_body_bytes"
    )
    max_waiting_images: Count = Field(
        128, description="images of one model being worked on or waiting; beyond it new requests get 429"
    )
    upload_idle_s: Seconds = Field(10, description="seconds without a byte of the body until 408")
    upload_s: Seconds = Field(60, description="seconds for the whole body until 408: 64 MB at 10 Mbit/s take 51")
    request_s: Seconds = Field(30, description="seconds from the last byte of the body to the answer, else 504")

    log_requests: bool = Field(
        True,
        description="one line of JSON on stderr for each request; of refusals (429) one a second, with how many they "
        "were; probes are not logged",
    )
    otel_endpoint: str = Field(
        "", description="base URL of an OpenTelemetry collector (OTLP over HTTP), http://collector:4318; none: no "
        "traces. Needs the extra `otel`"
    )  # fmt: skip
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="sha256 of each key that may ask, hex, separated by commas; none: everybody may. "
        "`printf %s KEY | sha256sum`; the keys themselves are kept nowhere"
    )  # fmt: skip
    key_requests_per_s: Annotated[float, Field(ge=0)] = Field(
        0, description="requests a second for each key, twice as many at once; 0: no limit"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="web pages of these origins may ask, separated by commas; none: CORS is off"
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
        """The part that concerns ONNX Runtime."""
        from foveal.inference.session import (
            SessionSettings,  # ONNX Runtime, which BentoML's parent process has no use for
        )

        return SessionSettings(self.provider, self.ort_threads, self.strict_provider)

    @property
    def image_thread_count(self) -> int:
        """`image_threads`, or the number of cores that this process may use."""
        return self.image_threads or len(os.sched_getaffinity(0))


@cache
def from_environment() -> Settings:
    """The settings of this process.

    Raises:
        BadSetting: the variable is named.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "FOVEAL_" + str(first["loc"][0]).upper()
        got = "" if name == "FOVEAL_API_KEYS" else f", got {str(first['input'])[:80]!r}"  # might be a key
        raise BadSetting(f"{name}: {first['msg']}{got}") from None
