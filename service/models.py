"""Which models are served: a snapshot that requests read and that loading replaces as a whole."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from foveal import zoo
from foveal.errors import BadPackage, FovealError, UnknownName
from foveal.package import ModelPackage
from foveal.service.errors import NotReady
from foveal.service.metrics import Metrics
from foveal.service.serving import Served
from foveal.service.settings import Settings
from foveal.tasks import TASKS

log = logging.getLogger("foveal.service")


@dataclass(frozen=True)
class Snapshot:
    """What is served at one moment. A request keeps the `Served` it got, so replacing a snapshot drops nothing."""

    served: Mapping[str, Served] = field(default_factory=dict)  # name@version ->, names ascending, versions too
    failed: Mapping[str, str] = field(default_factory=dict)  # name@version -> reason

    def of_task(self, task: str) -> list[Served]:
        """Names ascending, of each name the versions ascending."""
        return [served for served in self.served.values() if served.manifest.task == task]


class Models:
    """The models of one zoo."""

    def __init__(self, settings: Settings, threads: ThreadPoolExecutor, metrics: Metrics) -> None:
        self.snapshot = Snapshot()
        self.loaded = False
        self._settings = settings
        self._threads = threads
        self._metrics = metrics

    def load(self) -> None:
        """Read the zoo and check every package; blocks, so call it in a thread. A package that fails is named."""
        served: dict[str, Served] = {}
        failed: dict[str, str] = {}
        found = zoo.versions(self._settings.zoo)
        for name, version in ((n, v) for n, versions in found.items() for v in versions):
            ref = f"{name}@{version}"
            try:
                package = _open(self._settings.zoo, name, version)
                served[ref] = Served(package, self._settings, self._threads, self._metrics)
                log.info("serving %s on %s", ref, served[ref].predictor.provider)
            except FovealError as error:
                failed[ref] = f"{error.title}: {error}"
                log.error("not serving %s: %s", ref, failed[ref])
        if not found:
            failed[str(self._settings.zoo)] = "expected model packages as <name>/<version>/, got none"
        self.snapshot = Snapshot(served, failed)
        self.loaded = True

    def check_ready(self) -> None:
        """Raise NotReady, with the names of what failed, unless every package of the zoo is served."""
        if not self.loaded:
            raise NotReady("the models are being loaded and checked", 1)
        if self.snapshot.failed:
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


def _open(folder: Path, name: str, version: int) -> ModelPackage:
    package = ModelPackage.open(folder / name / str(version))
    if package.ref != f"{name}@{version}":
        raise BadPackage(f"{package.path}: expected the folder of {package.ref}")
    if package.manifest.task not in TASKS:
        raise UnknownName.among("task", package.manifest.task, TASKS)
    return package
