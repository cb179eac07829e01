"""What BentoML does not hand through to circus, which starts and watches the worker processes."""

import contextlib
import functools
from typing import Any

from bentoml._internal.utils import circus as bentoml_circus
from circus.arbiter import Arbiter
from circus.exc import ConflictError
from circus.watcher import Watcher

CHECK_S = 0.2  # a worker that died is replaced after so long at most; BentoML: 10


def adjust() -> None:
    """Change circus for this process, before BentoML starts it.

    - SIGHUP means "look at the zoo again": it goes on to the workers, which circus would otherwise replace.
    - Dead workers are looked for five times a second.
    """
    Watcher.__init__ = functools.partialmethod(Watcher.__init__, send_hup=True)
    Arbiter.manage_watchers = functools.partialmethod(_look, Arbiter.manage_watchers)
    bentoml_circus.create_standalone_arbiter = functools.partial(
        bentoml_circus.create_standalone_arbiter, check_delay=CHECK_S
    )


def _look(arbiter: Any, manage_watchers: Any) -> Any:
    """For dead workers; not while all are being started or stopped, which circus would report as an error."""
    with contextlib.suppress(ConflictError):
        return manage_watchers(arbiter)
