"""Tuning of a recipe (`tune`): the range test and both searches of a diagnosis, with their results in a folder."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from foveal.models.diagnose.parts import TrainingParts
from foveal.models.diagnose.range_test import range_test
from foveal.models.diagnose.search import Plan, Search, Trial, formatted, judge_trials
from foveal.models.recipe import Recipe

Log = Callable[[str], None]


def tune(recipe: Recipe, data_root: Path, out: Path, plan: Plan, *, log: Log = lambda _: None) -> dict[str, Any]:
    """Steps three to five, in a folder: best.toml, trials.csv, trials.png, and study.journal to go on from.

    Args:
        recipe: of the task's own type: where the search starts, and what best.toml is but for the fields searched.
        data_root: the data set; only train and val are looked at.
        out: the folder; an interrupted search in it goes on.
        plan: how much to search.
        log: a line a trial.

    Returns:
        The best trial: fields, metric, phase.

    Raises:
        BadData, BadRecipe, BadCheckpoint, BadOutput: the user's faults.
    """
    parts = TrainingParts.of(recipe, data_root)
    out.mkdir(parents=True, exist_ok=True)
    search = Search(parts, plan, out / "study.journal")
    if search.suggested is None:
        search.suggested = range_test(parts).suggested
        log(f"range test: the loss falls fastest at lr_head {search.suggested:.3g}")
    trials = search.run(log)
    best = max(trials, key=lambda trial: trial.rank)
    log(f"best of {len(trials)}: {formatted(best.fields)}")
    (out / "best.toml").write_text(recipe.model_copy(update={**best.fields, "lr_scaling": "none"}).to_toml())
    (out / "trials.csv").write_text(_csv(trials, parts.task.best_metric))
    judge_trials(trials, parts.task.best_metric)[1].figure.savefig(out / "trials.png", dpi=100)
    return {"fields": best.fields, parts.task.best_metric: best.metric, "phase": best.phase, "trials": len(trials)}


def _csv(trials: Sequence[Trial], metric: str) -> str:
    text = io.StringIO(newline="")
    rows = [{"phase": t.phase, **t.fields, metric: t.metric, "val_loss": t.val_loss} for t in trials]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
