"""Steps 4 and 5 of a diagnosis: a coarse random search on log scales, then a finer one around its winners.

Random beats a grid, since few fields matter and which is unknown beforehand: Bergstra, Bengio, JMLR 13, 2012. The fine
search is Optuna's TPE (Bergstra et al., NeurIPS 2011) in the box that the coarse winners span. A trial is a short
training by the training loop itself. Trials live in an Optuna journal file, so that a killed search goes
on where it was.
"""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from foveal.errors import BadOutput
from foveal.models.diagnose.figures import trials_figure
from foveal.models.diagnose.findings import Finding, Illustration, Verdict
from foveal.models.diagnose.parts import TrainingParts
from foveal.models.training.loop import fit
from foveal.models.training.module import LossDiverged
from foveal.models.training.run_folder import RunFolder, rank

Box = Mapping[str, tuple[float, float]]  # field -> lowest and highest value, searched on a log scale
Log = Callable[[str], None]

SPAN = {"lr_head": (1 / 30, 10.0), "lr_backbone": (1 / 30, 10.0), "weight_decay": (1e-3, 100.0)}  # factors, coarse
DECAY_WITHOUT = 1e-4  # centre when the recipe has no weight decay
WINNERS = 3
MARGIN = 1.5  # factor by which the fine box is wider than the winners
DIVERGED = (-1.0, math.inf)  # metric and val_loss of a trial whose loss diverged


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much to search: trials of each kind, epochs a trial, processes at a time."""

    coarse: int = 12
    fine: int = 8
    epochs: int = 2
    jobs: int = 1


@dataclass(frozen=True)
class Trial:
    """A finished one. `metric` is the task's best_metric on val, -1 when the loss diverged."""

    phase: str  # coarse or fine
    fields: dict[str, float]
    metric: float
    val_loss: float

    @property
    def rank(self) -> tuple[float, float]:
        """What the best trial has most of."""
        return self.metric, -self.val_loss


class Search:
    """Both searches, in memory or in a journal file.

    Raises:
        BadOutput: the journal is of another recipe, data set or length of trials.
    """

    def __init__(self, parts: TrainingParts, plan: Plan, journal: Path | None = None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = JournalStorage(JournalFileBackend(str(journal))) if journal else None
        self._parts, self._plan = parts, plan
        self._study = optuna.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
        about = {"recipe": parts.recipe.model_dump(mode="json"), "data": parts.data.fingerprint, "epochs": plan.epochs}
        if self._study.user_attrs.get("about", about) != about:
            raise BadOutput(f"{journal}: a search of another recipe, data set or trial length; choose another folder")
        self._study.set_user_attr("about", about)
        for killed in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(killed.number, state=TrialState.FAIL)  # the process that ran it is gone

    @property
    def suggested(self) -> float | None:
        """The range test's rate, remembered with the trials."""
        rate: float | None = self._study.user_attrs.get("suggested")
        return rate

    @suggested.setter
    def suggested(self, rate: float) -> None:
        self._study.set_user_attr("suggested", rate)

    @property
    def trials(self) -> list[Trial]:
        """The finished ones, in order."""
        done = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [Trial(t.user_attrs["phase"], dict(t.params), t.value or 0.0, t.user_attrs["val_loss"]) for t in done]

    def run(self, log: Log = lambda _: None) -> list[Trial]:
        """Both searches, or what is left of them."""
        seed = self._parts.recipe.seed + len(self._study.trials)  # a resumed search draws other fields
        with _workers(self._plan.jobs) as pool:
            self._study.sampler = optuna.samplers.RandomSampler(seed=seed)
            self._phase("coarse", self._plan.coarse, coarse_box(self._parts.recipe, self.suggested), pool, log)
            if self._plan.fine and self.trials:
                self._study.sampler = optuna.samplers.TPESampler(seed=seed)
                self._phase("fine", self._plan.fine, fine_box(self.trials), pool, log)
        return self.trials

    def _phase(self, phase: str, count: int, box: Box, pool: Executor, log: Log) -> None:
        space: dict[str, BaseDistribution] = {
            name: FloatDistribution(low, high, log=True) for name, (low, high) in box.items()
        }
        left = count - sum(trial.phase == phase for trial in self.trials)
        running: dict[Future[tuple[float, float]], optuna.Trial] = {}
        while left > 0 or running:
            while left > 0 and len(running) < self._plan.jobs:
                trial = self._study.ask(space)
                trial.set_user_attr("phase", phase)
                running[pool.submit(evaluate, self._parts, trial.params, self._plan.epochs)] = trial
                left -= 1
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                trial = running.pop(future)
                metric, val_loss = future.result()
                trial.set_user_attr("val_loss", val_loss)
                self._study.tell(trial, metric)
                log(f"{phase} trial: {formatted(trial.params)}: {self._parts.task.best_metric} {metric:.4f}")


def coarse_box(recipe: Any, suggested: float | None) -> Box:
    """Around the recipe, or around the range test's rate, with the backbone's rate in the recipe's ratio to it."""
    shift = 1.0 if suggested is None else suggested / recipe.lr_head
    centres = {"lr_head": recipe.lr_head * shift, "weight_decay": recipe.weight_decay or DECAY_WITHOUT}
    if recipe.lr_backbone:
        centres["lr_backbone"] = recipe.lr_backbone * shift
    return {name: (centre * SPAN[name][0], centre * SPAN[name][1]) for name, centre in centres.items()}


def fine_box(trials: Sequence[Trial]) -> Box:
    """What the best coarse trials span, a little wider."""
    winners = sorted((t for t in trials if t.phase == "coarse"), key=lambda t: t.rank, reverse=True)[:WINNERS]
    spans = {name: [t.fields[name] for t in winners] for name in winners[0].fields}
    return {name: (min(values) / MARGIN, max(values) * MARGIN) for name, values in spans.items()}


def evaluate(parts: TrainingParts, fields: Mapping[str, float], epochs: int) -> tuple[float, float]:
    """The best val metric, and its val_loss, of a short training with these fields."""
    frozen = min(parts.recipe.frozen_epochs, epochs - 1)  # the backbone's rate must have an effect
    changed = {**fields, "epochs": epochs, "frozen_epochs": frozen, "patience": None}
    tried = TrainingParts(parts.task, parts.recipe.model_copy(update=changed), parts.data)
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder(Path(scratch))
        try:
            fit(tried.task, tried.network(), tried.data, tried.recipe, folder, resume=False)
        except LossDiverged:
            return DIVERGED
        metric = f"val_{tried.task.best_metric}"
        best = max(folder.rows, key=lambda row: rank(row, metric))
    return best[metric], best.get("val_loss", 0.0)


def judge_trials(trials: Sequence[Trial], metric: str) -> tuple[list[Finding], Illustration]:
    """Steps 4 and 5 in words."""
    findings = []
    for step, phase in ((4, "coarse"), (5, "fine")):
        found = [trial for trial in trials if trial.phase == phase]
        if not found:
            continue
        best = max(found, key=lambda trial: trial.rank)
        diverged = sum(trial.metric == DIVERGED[0] for trial in found)
        words = f"{len(found)} trials, the best {metric} {best.metric:.4f} with {formatted(best.fields)}"
        words += f"; {diverged} diverged" if diverged else ""
        values = {"best": best.fields, "metric": best.metric, "trials": len(found), "diverged": diverged}
        verdict: Verdict = "fault" if diverged == len(found) else "ok"
        findings.append(Finding(step=step, name=f"{phase} search", verdict=verdict, words=words, values=values))
    return findings, Illustration(4, "Trials: coarse and fine", trials_figure(trials, metric))


def formatted(fields: Mapping[str, float]) -> str:
    """Fields in words, three digits."""
    return ", ".join(f"{name} {value:.3g}" for name, value in fields.items())


class _InPlace(Executor):
    """One job at a time needs no other process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _workers(jobs: int) -> Executor:
    return _InPlace() if jobs == 1 else ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
