"""BentoML host: everything that touches BentoML and circus, so that an upgrade of either concerns this file alone.

BentoML supplies process lifecycle, workers, health probes and packaging; the routes are application.py's. The command
`foveal serve` calls `run`; `bentoml serve` and `bentoml build` find the service through bentofile.yaml. The parent
process of the workers imports this module too and needs only the decorator's arguments, so nothing heavy is imported
before a worker creates its application.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import shutil
import signal
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import bentoml

from foveal.service.settings import from_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from foveal.service.application import Application

PROBES = ("/livez", "/readyz", "/healthz")
STOPPING = threading.Event()  # set in a worker that is to stop
KILL_S = 2  # what a worker gets beyond its grace, to end itself and say what it was doing
CHECK_S = 0.2  # interval of the check for dead workers; BentoML's own is 10


@functools.cache
def application() -> Application:
    """The worker's application."""
    from foveal.service.application import Application

    return Application(from_environment())


class DirectService(bentoml.Service[Any]):  # type: ignore[misc]
    """BentoML service whose requests, health probes excepted, go straight to the application.

    BentoML's middleware costs 0.1 ms a request, and its TimeoutMiddleware, which cannot be disabled, keeps a timer for
    every request until it expires: memory grows with each thousand requests.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """The worker's ASGI application."""
        bento: ASGIApp = super().to_asgi(is_main=is_main)
        direct = application()
        _adjust_uvicorn(direct)

        async def entry(scope: Scope, receive: Receive, send: Send) -> None:
            probe = scope["type"] == "http" and scope["path"] in PROBES and scope["method"] in ("GET", "HEAD")
            await (bento if probe or scope["type"] == "lifespan" else direct)(scope, receive, send)

        return entry


@bentoml.service(
    name="foveal",
    workers=from_environment().workers,
    service_class=DirectService,
    # probes are neither traced nor logged, and the application has its own metrics
    tracing={"excluded_urls": [".*"]},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Foveal:
    """Service over every package of a zoo."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Start the application: once in each worker, before it accepts connections."""
        from foveal.service.observability import logs

        gc.freeze()  # a full collection would visit all imported objects: a pause of 54 ms (measured) in a request
        logs.configure(requests=from_environment().log_requests)
        self._stack = contextlib.AsyncExitStack()
        await self._stack.enter_async_context(application().lifespan())

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Graceful shutdown: once in each worker, after the last request in flight was answered."""
        await self._stack.aclose()

    async def __is_ready__(self) -> bool:
        """Readiness (/readyz); the response names the packages that failed."""
        return _passed(_check_ready)

    async def __is_alive__(self) -> bool:
        """Liveness (/livez); false once a thread is stuck, which only a restart frees."""
        return _passed(application().check_alive)


def _check_ready() -> None:
    from foveal.service.errors import NotReady

    if STOPPING.is_set():
        raise NotReady("the service is stopping", 5)
    application().models.check_ready()


def _passed(check: Callable[[], None]) -> bool:
    """True, or the HTTP error of a check that failed."""
    from starlette.exceptions import HTTPException

    from foveal.formats import to_json
    from foveal.service.errors import MEDIA_TYPE, NotReady, problem, without_folders

    try:
        check()
    except NotReady as error:
        shown = to_json(problem(error) | {"detail": without_folders(str(error))}).decode()
        raise HTTPException(error.status, shown, error.headers | {"content-type": MEDIA_TYPE}) from None
    return True


def run(address: str, port: int) -> None:
    """Serve on a numeric address until Ctrl-C or SIGTERM; requests in flight are answered first."""
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    # BentoML keeps the metrics of all workers under its home folder, which the servers of one user share: a home of its
    # own keeps this server's metrics apart. Set before BentoML reads it, which it does on the first use.
    home = tempfile.mkdtemp(prefix="foveal-bentoml-")
    os.environ["BENTOML_HOME"] = home
    try:
        _adjust_circus()
        bentoml.serve(__name__, host=address, port=port, blocking=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _adjust_uvicorn(served: Application) -> None:
    """Give BentoML, which creates the worker's server after its ASGI application, our own server."""
    import uvicorn

    from foveal.service.connections.server import Server

    uvicorn.Server = functools.partial(  # type: ignore[assignment,misc]
        Server, settings=served.settings, on_stop=STOPPING.set, on_refusal=served.metrics.rejected
    )


def _adjust_circus() -> None:
    """Set what BentoML does not pass on to circus, the supervisor of its workers, in this process.

    - At the end, its own copy of the port is closed first, or connections would wait in it that nobody accepts; and
      the workers learn whether it was Ctrl-C, after which they do not drain.
    - SIGHUP means a reload of the zoo: it is passed on to the workers, which circus would otherwise replace.
    - Dead workers are looked for every CHECK_S.
    - A worker that has not ended itself within its grace is killed.
    """
    from bentoml._internal.utils import circus as bentoml_circus
    from circus.arbiter import Arbiter
    from circus.sighandler import SysHandler
    from circus.watcher import Watcher

    SysHandler.handle_term = functools.partialmethod(_stop, signal.SIGTERM)
    SysHandler.handle_int = functools.partialmethod(_stop, signal.SIGINT)
    Watcher.__init__ = functools.partialmethod(_watch, Watcher.__init__)
    Arbiter.manage_watchers = functools.partialmethod(_manage_watchers, Arbiter.manage_watchers)
    bentoml_circus.create_standalone_arbiter = functools.partial(
        bentoml_circus.create_standalone_arbiter, check_delay=CHECK_S
    )


def _stop(handler: Any, sign: signal.Signals) -> None:
    """Stop the workers by a signal."""
    arbiter = handler.controller.arbiter
    arbiter.sockets.close_all()
    arbiter.sockets.clear()
    for watcher in arbiter.watchers:
        watcher.stop_signal = sign
    handler.quit()


def _watch(watcher: Any, init: Any, *arguments: Any, **options: Any) -> None:
    grace_s = from_environment().grace_s + KILL_S
    init(watcher, *arguments, **options | {"send_hup": True, "graceful_timeout": grace_s})


def _manage_watchers(arbiter: Any, manage_watchers: Any) -> Any:
    """Look for dead workers; not while all are being started or stopped, which circus reports as an error."""
    from circus.exc import ConflictError

    with contextlib.suppress(ConflictError):
        return manage_watchers(arbiter)
