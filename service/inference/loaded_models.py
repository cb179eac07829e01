"""Models loaded from the zoo (`LoadedModels`): an immutable snapshot, replaced as a whole on each reload."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from starlette.datastructures import QueryParams

from foveal.errors import BadPackage, BadRequest, FovealError, UnknownName
from foveal.options import Options
from foveal.packages import zoo
from foveal.packages.package import ModelPackage
from foveal.service.errors import NotReady
from foveal.service.inference.served_model import ServedModel
from foveal.service.observability.metrics import Metrics
from foveal.service.settings import Settings
from foveal.tasks import Task

CACHED_QUERIES, CACHED_QUERY_BYTES = 256, 256  # cached query strings at most, and their greatest length
Choice = tuple[ServedModel, Options]
Stamp = tuple[tuple[str, int, int], ...]  # of every file of a package: path, mtime in ns, size
log = logging.getLogger("foveal.service")


@dataclass(frozen=True)
class Snapshot:
    """Served and failed models of one load. A request keeps its `ServedModel`, so a new snapshot interrupts nothing."""

    served: Mapping[str, ServedModel] = field(default_factory=dict)  # by name@version; names and versions ascending
    failed: Mapping[str, str] = field(default_factory=dict)  # name@version -> reason
    choices: dict[tuple[str, bytes], Choice] = field(default_factory=dict)  # cache of `choose` by task and query

    def of_task(self, task: str) -> list[ServedModel]:
        """Models of a task; names ascending, versions ascending within a name."""
        return [served for served in self.served.values() if served.manifest.task == task]


class LoadedModels:
    """Models of one zoo: loading, reloading, readiness, and the choice of a model for a request."""

    def __init__(self, settings: Settings, threads: ThreadPoolExecutor, metrics: Metrics) -> None:
        self.snapshot = Snapshot()
        self.loaded = False
        self._complete = False  # whether any load so far had no failure
        self._stamps: dict[str, Stamp] = {}
        self._settings = settings
        self._threads = threads
        self._metrics = metrics

    def load(self) -> None:
        """Open and verify every package of the zoo. Blocks: call it in a thread.

        Failed packages are listed with their reason. A served model is kept when its files did not change, and also
        when its replacement fails.
        """
        self._stamps = stamps = self._scan()
        order = sorted(
            stamps, key=lambda ref: -sum(size for _, _, size in stamps[ref])
        )  # largest first: loads end together
        width = 1 if self.loaded else self._settings.image_thread_count  # leaves the cores to requests in flight
        with ThreadPoolExecutor(width, "foveal-load") as loaders:
            found = dict(zip(order, loaders.map(lambda ref: self._load_one(ref, stamps[ref]), order), strict=True))
        served = {ref: each for ref in stamps if (each := found[ref][0]) is not None}
        failed = {ref: reason for ref in stamps if (reason := found[ref][1]) is not None}
        if not stamps:
            failed[str(self._settings.zoo)] = "expected model packages as <name>/<version>/, got none"
            served = dict(self.snapshot.served)
        self._publish(Snapshot(served, failed))

    def reload(self) -> None:
        """Load again if any package was added, removed or changed since the last scan."""
        if self._scan() != self._stamps:
            self.load()

    def _scan(self) -> dict[str, Stamp]:
        """The stamp of each package, by name@version."""
        root = self._settings.zoo
        return {
            f"{name}@{v}": _stamp(root / name / str(v)) for name, found in zoo.versions(root).items() for v in found
        }

    def _load_one(self, ref: str, stamp: Stamp) -> tuple[ServedModel | None, str | None]:
        """The model to serve under this name, and the reason if it is not the package now in the zoo."""
        old = self.snapshot.served.get(ref)
        if old is not None and old.stamp == stamp:
            return old, None
        try:
            return self._open(ref, stamp), None
        except Exception as error:  # any failure of one package leaves the others served
            reason = f"{getattr(error, 'title', type(error).__name__)}: {error}"
            log.error("not serving %s: %s", ref, reason, exc_info=not isinstance(error, FovealError))
            return old, reason

    def _open(self, ref: str, stamp: Stamp) -> ServedModel:
        name, _, version = ref.partition("@")
        package = ModelPackage.open(self._settings.zoo / name / version)
        if package.ref != ref:
            raise BadPackage(f"{package.path}: expected the folder of {package.ref}")
        served = ServedModel(package, self._settings, self._threads, self._metrics, stamp)
        log.info("serving %s on %s", ref, served.predictor.provider)
        return served

    def _publish(self, snapshot: Snapshot) -> None:
        """Make a snapshot visible to new requests; requests in flight keep their model."""
        for ref, old in self.snapshot.served.items():
            if snapshot.served.get(ref) is not old:
                old.retire()
        for served in snapshot.served.values():
            served.announce()
        self._metrics.failed_packages.set(len(snapshot.failed))
        self.snapshot = snapshot
        self.loaded = True
        self._complete = self._complete or not snapshot.failed

    def check_ready(self) -> None:
        """Check readiness: true once a load of the zoo had no failure, and from then on.

        A failure in a later reload leaves the service ready: the previous models are still served, and /v1/models lists
        the failure.

        Raises:
            NotReady: with the names of the packages that failed, and the reasons.
        """
        if not self.loaded:
            raise NotReady("the models are being loaded and checked", 1)
        if not self._complete:
            raise NotReady("; ".join(f"{ref}: {why}" for ref, why in self.snapshot.failed.items()), 60)

    def pick(self, task: str, wanted: str | None) -> ServedModel:
        """Select the model of a request: `name`, `name@version`, or None for the task's default.

        Raises:
            UnknownName: no such model for this task. NotReady: still loading, or its package failed.
        """
        if not self.loaded:
            raise NotReady("the models are being loaded and checked", 1)
        candidates = self.snapshot.of_task(task)
        if wanted is None:
            wanted = self._settings.default_models.get(task) or next((s.manifest.name for s in candidates), "")
        found = newest(candidates, wanted)
        if found is None and wanted in self._failed_names():
            raise NotReady(f"model {wanted} did not pass its check and is not served", 60)
        if found is None:
            raise UnknownName.among(f"{task} model", wanted, _names(candidates))
        return found

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


def _stamp(package: Path) -> Stamp:
    """Path, mtime and size of every file; differs again while a package is still being copied."""
    found = ((path, path.stat()) for path in sorted(package.rglob("*")))
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in found)
