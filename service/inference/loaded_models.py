"""Models loaded from the zoo (`LoadedModels`): an immutable snapshot, replaced as a whole on each reload."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import QueryParams

from foveal.errors import BadRequest, FovealError, UnknownName
from foveal.inference.session import Interrupt
from foveal.options import Options
from foveal.packages import zoo
from foveal.packages.scan import Scan, Stamp, scan
from foveal.service.errors import NotReady
from foveal.service.inference.loading import Loader
from foveal.service.inference.served_model import ServedModel
from foveal.service.inference.threads import WorkThreads
from foveal.service.observability.metrics import Metrics
from foveal.service.settings import Settings
from foveal.tasks import Task

MAX_REASON = 500  # characters
CACHED_QUERIES, CACHED_QUERY_BYTES = 256, 256  # cached query strings at most, and their greatest length
Choice = tuple[ServedModel, Options]
log = logging.getLogger("foveal.service")


@dataclass(frozen=True)
class Snapshot:
    """Models at one moment. A request keeps its `ServedModel`, so a new snapshot interrupts nothing."""

    served: Mapping[str, ServedModel] = field(default_factory=dict)  # by name@version; names and versions ascending
    failed: Mapping[str, str] = field(default_factory=dict)  # name@version -> reason
    pending: frozenset[str] = frozenset()  # being loaded, or waiting for it
    slow: frozenset[str] = frozenset()  # being loaded for so long that nothing waits for them
    choices: dict[tuple[str, bytes], Choice] = field(default_factory=dict)  # cache of `choose` by task and query

    def of_task(self, task: str) -> list[ServedModel]:
        """Models of a task; names ascending, versions ascending within a name."""
        return [served for served in self.served.values() if served.manifest.task == task]


class LoadedModels:
    """Models of one zoo: loading, reloading, readiness, and the choice of a model for a request."""

    def __init__(self, settings: Settings, threads: WorkThreads, metrics: Metrics) -> None:
        self.snapshot = Snapshot()
        self.loaded = False  # whether a load has come to its end
        self._complete = False  # whether any load so far had no failure
        self._scanned = Scan({}, {})
        self._reasons: dict[str, tuple[Stamp, str]] = {}  # of failed packages, with the state of their files
        self._settings = settings
        self._threads = threads
        self._metrics = metrics
        self._loader = Loader(self._open, settings.load_s)
        self.close = self._loader.close

    def load(self) -> None:
        """Open and verify every package of the zoo that is new or has changed. Blocks: call it in a thread.

        Each is served as soon as it is checked. Failed packages are listed with their reason, and not tried again
        before their files change. A served model is kept until its replacement is ready, and when that fails.
        """
        self._scanned = scanned = scan(self._settings.zoo)
        stamps = scanned.stamps
        served = {ref: old for ref, old in self.snapshot.served.items() if ref in stamps or not stamps}
        self._reasons = {ref: known for ref, known in self._reasons.items() if stamps.get(ref) == known[0]}
        todo = [
            ref
            for ref in sorted(stamps, key=lambda ref: -sum(size for _, _, size in stamps[ref]))  # largest first
            if ref not in self._reasons and not (ref in served and served[ref].stamp == stamps[ref])
        ]
        for ref in scanned.misnamed.keys() - self.snapshot.failed.keys():
            log.error("not serving %s: %s", ref, scanned.misnamed[ref])
        pending, slow = set(todo), set[str]()
        self._publish(served, pending, slow)
        width = 1 if self.loaded else self._settings.image_thread_count  # leaves the cores to requests in flight
        for ref, outcome in self._loader.load_each(todo, width):
            pending.discard(ref)
            slow.discard(ref)
            if outcome is None:
                slow.add(ref)
            elif isinstance(outcome, ServedModel):
                served[ref] = outcome
            else:
                self._reasons[ref] = stamps[ref], self._reason(ref, outcome)
            self._publish(served, pending, slow)
        self.loaded = True
        self._complete = self._complete or not self.snapshot.failed

    def reload(self) -> None:
        """Load again if any package was added, removed or changed since the last scan."""
        if scan(self._settings.zoo) != self._scanned:
            self.load()

    def _open(self, ref: str, interrupt: Interrupt) -> ServedModel:
        name, _, version = ref.partition("@")
        package = zoo.open_version(self._settings.zoo, name, int(version))
        stamp = self._scanned.stamps[ref]
        served = ServedModel(package, self._settings, self._threads, self._metrics, stamp, interrupt)
        log.info("serving %s on %s", ref, served.predictor.provider)
        return served

    def _reason(self, ref: str, error: Exception) -> str:
        """Why a package is not served: one line, without the path of the zoo; logged."""
        text = f"{getattr(error, 'title', type(error).__name__)}: {error}".replace(f"{self._settings.zoo}/", "")
        reason = "".join(c if c.isprintable() else "�" for c in text[:MAX_REASON])
        log.error("not serving %s: %s", ref, reason, exc_info=None if isinstance(error, FovealError) else error)
        return reason

    def _publish(self, served: Mapping[str, ServedModel], pending: set[str], slow: set[str]) -> None:
        """Make a snapshot visible to new requests; requests in flight keep their model."""
        failed = self._scanned.misnamed | {ref: reason for ref, (_, reason) in sorted(self._reasons.items())}
        if not self._scanned.stamps:
            failed[self._settings.zoo.name] = "expected model packages as <name>/<version>/, got none"
        ordered = {ref: served[ref] for ref in [*self._scanned.stamps, *served] if ref in served}
        for ref, old in self.snapshot.served.items():
            if ordered.get(ref) is not old:
                old.retire()
        for each in ordered.values():
            each.announce()
        self._metrics.failed_packages.set(len(failed))
        self.snapshot = Snapshot(ordered, failed, frozenset(pending), frozenset(slow))

    def check_ready(self) -> None:
        """Check readiness: true once a load of the zoo had no failure, and from then on.

        A failure in a later reload leaves the service ready: the previous models are still served, and /v1/models lists
        the failure.

        Raises:
            NotReady: with the names of the packages that failed, and the reasons.
        """
        if self._complete:
            return
        failed = [f"{ref}: {why}" for ref, why in self.snapshot.failed.items()]
        if self.loaded and failed:
            raise NotReady("; ".join(failed), 60)
        slow = [f"{ref}: still being checked" for ref in sorted(self.snapshot.slow)]
        raise NotReady("; ".join(["the models are being loaded and checked", *failed, *slow]), 1)

    def pick(self, task: str, wanted: str | None) -> ServedModel:
        """Select the model of a request: `name`, `name@version`, or None for the task's default.

        While the models are being loaded for the first time, a choice that a package still to come might change waits.

        Raises:
            UnknownName: no such model for this task. NotReady: still loading, or its package failed.
        """
        candidates = self.snapshot.of_task(task)
        default = self._settings.default_models.get(task) or next((s.manifest.name for s in candidates), "")
        chosen = default if wanted is None else wanted
        found = newest(candidates, chosen)
        if not self.loaded and self._may_change(found, chosen, is_default=wanted is None):
            raise NotReady("the models are being loaded and checked", 1)
        if found is None and chosen in self._failed_names():
            raise NotReady(f"model {chosen} did not pass its check and is not served", 60)
        if found is None:
            raise UnknownName.among(f"{task} model", chosen, _names(candidates))
        return found

    def _may_change(self, found: ServedModel | None, chosen: str, *, is_default: bool) -> bool:
        """Whether a package that is not loaded yet might be chosen instead."""
        snapshot = self.snapshot
        if found is None:
            return bool(snapshot.pending or snapshot.slow or not snapshot.failed)
        names = {ref.partition("@")[0] for ref in snapshot.pending}
        return "@" not in chosen and any(name == chosen or (is_default and name < chosen) for name in names)

    def choose(self, task: Task, query: bytes) -> Choice:
        """Parse a query string: the model and the resolved options.

        Raises:
            BadRequest: a parameter is invalid. Others as `pick`.
        """
        snapshot = self.snapshot
        if (cached := snapshot.choices.get((task.name, query))) is not None:
            return cached
        raw: dict[str, str] = {}
        for name, value in QueryParams(query).multi_items():
            if name in raw:
                raise BadRequest(f"parameter {name[:80]!r}: expected it once, got it twice")
            raw[name] = value
        served = self.pick(task.name, raw.pop("model", None))
        options = Options.parse(raw, applicable=task.option_names, labels=served.manifest.labels)
        choice = served, options.resolved(served.manifest.pipeline.defaults)
        if len(query) <= CACHED_QUERY_BYTES:
            if len(snapshot.choices) >= CACHED_QUERIES:
                snapshot.choices.clear()
            snapshot.choices[task.name, query] = choice
        return choice

    def is_default(self, served: ServedModel) -> bool:
        """Whether requests without ?model= are answered by this model."""
        try:
            return self.pick(served.manifest.task, None) is served
        except FovealError:
            return False

    def _failed_names(self) -> set[str]:
        return set(self.snapshot.failed) | {ref.partition("@")[0] for ref in self.snapshot.failed}


def newest(candidates: Iterable[ServedModel], wanted: str) -> ServedModel | None:
    """The model `name@version`, or the newest version of `name`."""
    fits = [s for s in candidates if wanted in (s.manifest.name, s.package.ref)]
    return max(fits, key=lambda s: s.manifest.version, default=None)


def _names(candidates: Iterable[ServedModel]) -> list[str]:
    return sorted({s.manifest.name for s in candidates} | {s.package.ref for s in candidates})
