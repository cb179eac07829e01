"""Which models are served: a snapshot that requests read and that loading replaces as a whole."""

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
from foveal.service.inference.served_model import Served
from foveal.service.observability.metrics import Metrics
from foveal.service.settings import Settings
from foveal.tasks import Task

CHOICES, LONGEST_CHOICE = 256, 256  # so many query strings of at most so many bytes are remembered
Choice = tuple[Served, Options]
Stamp = tuple[tuple[str, int, int], ...]  # of every file of a package: path, modified (ns), size
log = logging.getLogger("foveal.service")


@dataclass(frozen=True)
class Snapshot:
    """What is served at one moment. A request keeps the `Served` it got, so replacing a snapshot drops nothing."""

    served: Mapping[str, Served] = field(default_factory=dict)  # name@version ->, names ascending, versions too
    failed: Mapping[str, str] = field(default_factory=dict)  # name@version -> reason
    chosen: dict[tuple[str, bytes], Choice] = field(default_factory=dict)  # task, query -> what it means here

    def of_task(self, task: str) -> list[Served]:
        """Names ascending, of each name the versions ascending."""
        return [served for served in self.served.values() if served.manifest.task == task]


class Models:
    """The models of one zoo."""

    def __init__(self, settings: Settings, threads: ThreadPoolExecutor, metrics: Metrics) -> None:
        self.snapshot = Snapshot()
        self.loaded = False
        self._complete = False  # whether a load ever had no failure
        self._stamps: dict[str, Stamp] = {}
        self._settings = settings
        self._threads = threads
        self._metrics = metrics

    def load(self) -> None:
        """Read the zoo and check every package; blocks, so call it in a thread.

        A package that fails is named. What is served already stays when its files did not change, and also when what
        came in its place is no good.
        """
        self._stamps = stamps = self._look()
        order = sorted(stamps, key=lambda ref: -sum(size for _, _, size in stamps[ref]))  # no large one left at the end
        width = 1 if self.loaded else self._settings.image_thread_count  # a service at work goes on answering
        with ThreadPoolExecutor(width, "foveal-load") as loaders:
            found = dict(zip(order, loaders.map(lambda ref: self._renewed(ref, stamps[ref]), order), strict=True))
        served = {ref: each for ref in stamps if (each := found[ref][0]) is not None}
        failed = {ref: reason for ref in stamps if (reason := found[ref][1]) is not None}
        if not stamps:
            failed[str(self._settings.zoo)] = "expected model packages as <name>/<version>/, got none"
            served = dict(self.snapshot.served)
        self._publish(Snapshot(served, failed))

    def reload(self) -> None:
        """Load again if any package came, went or changed since the last look."""
        if self._look() != self._stamps:
            self.load()

    def _look(self) -> dict[str, Stamp]:
        """name@version -> what changes when the package does."""
        root = self._settings.zoo
        return {
            f"{name}@{v}": _stamp(root / name / str(v)) for name, found in zoo.versions(root).items() for v in found
        }

    def _renewed(self, ref: str, stamp: Stamp) -> tuple[Served | None, str | None]:
        """What is served under this name from now on, and why it is not what lies there."""
        old = self.snapshot.served.get(ref)
        if old is not None and old.stamp == stamp:
            return old, None
        try:
            return self._open(ref, stamp), None
        except Exception as error:  # whatever one package does to us, the others are served
            reason = f"{getattr(error, 'title', type(error).__name__)}: {error}"
            log.error("not serving %s: %s", ref, reason, exc_info=not isinstance(error, FovealError))
            return old, reason

    def _open(self, ref: str, stamp: Stamp) -> Served:
        name, _, version = ref.partition("@")
        package = ModelPackage.open(self._settings.zoo / name / version)
        if package.ref != ref:
            raise BadPackage(f"{package.path}: expected the folder of {package.ref}")
        served = Served(package, self._settings, self._threads, self._metrics, stamp)
        log.info("serving %s on %s", ref, served.predictor.provider)
        return served

    def _publish(self, snapshot: Snapshot) -> None:
        """From here on new requests see it; those in flight keep what they have."""
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
        """Raise NotReady, with the names of what failed, until every package of the zoo has been served once.

        Later failures do not turn a ready service away: it goes on with what it has, and says so in /v1/models.
        """
        if not self.loaded:
            raise NotReady("the models are being loaded and checked", 1)
        if not self._complete:
            raise NotReady("; ".join(f"{ref}: {why}" for ref, why in self.snapshot.failed.items()), 60)

    def pick(self, task: str, wanted: str | None) -> Served:
        """The model for a request: `name`, `name@version`, or None for the task's default.

        Raises:
            UnknownName: no such model for this task. NotReady: not loaded yet, or its package failed.
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
        """The model and the resolved options that a query string asks for.

        Raises:
            BadRequest: a parameter is no good. Others as `pick`.
        """
        snapshot = self.snapshot
        if (known := snapshot.chosen.get((task.name, query))) is not None:
            return known
        raw: dict[str, str] = {}
        for name, value in QueryParams(query).multi_items():
            if name in raw:
                raise BadRequest(f"parameter {name[:80]!r}: expected it once, got it twice")
            raw[name] = value
        served = self.pick(task.name, raw.pop("model", None))
        options = Options.parse(raw, applicable=task.option_names, labels=served.manifest.labels)
        choice = served, options.resolved(served.manifest.pipeline.defaults)
        if len(query) <= LONGEST_CHOICE:
            if len(snapshot.chosen) >= CHOICES:
                snapshot.chosen.clear()
            snapshot.chosen[task.name, query] = choice
        return choice

    def is_default(self, served: Served) -> bool:
        """Whether requests without ?model= go to it."""
        try:
            return self.pick(served.manifest.task, None) is served
        except FovealError:
            return False

    def _failed_names(self) -> set[str]:
        return set(self.snapshot.failed) | {ref.partition("@")[0] for ref in self.snapshot.failed}


def newest(candidates: Iterable[Served], wanted: str) -> Served | None:
    """The one of that name@version, or the newest of that name."""
    fits = [s for s in candidates if wanted in (s.manifest.name, s.package.ref)]
    return max(fits, key=lambda s: s.manifest.version, default=None)


def _names(candidates: Iterable[Served]) -> list[str]:
    return sorted({s.manifest.name for s in candidates} | {s.package.ref for s in candidates})


def _stamp(package: Path) -> Stamp:
    """Names, sizes and times of every file: a package that is still being copied in is looked at again."""
    found = ((path, path.stat()) for path in sorted(package.rglob("*")))
    return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in found)
