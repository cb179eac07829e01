"""The six steps in a row, and tuning, which is steps three to five."""

import csv
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from foveal.models.diagnose.curves import learn
from foveal.models.diagnose.findings import Diagnosis, Finding, Illustration
from foveal.models.diagnose.leak import leak
from foveal.models.diagnose.parts import TrainingParts
from foveal.models.diagnose.rate import judge_rate, range_test
from foveal.models.diagnose.search import Plan, Search, Trial, formatted, judge_trials
from foveal.models.diagnose.start import initial_loss, overfit_few
from foveal.models.recipe import Recipe

Log = Callable[[str], None]


def diagnose(
    recipe: Recipe, data_root: Path, plan: Plan, *, optimal_error: float = 0.0, log: Log = lambda _: None
) -> Diagnosis:
    """All six steps.

    Args:
        recipe: of the task's own type; step 6 trains for its epochs.
        data_root: the data set.
        plan: of steps 4 and 5; no trials leave them out.
        optimal_error: what nobody could do better than, such as a person's error; 1 - the task's metric.
        log: gets each finding when it is there.

    Raises:
        BadData, BadRecipe, BadCheckpoint: what the user can mend.
    """
    parts = TrainingParts.of(recipe, data_root)
    findings: list[Finding] = []
    images: list[Illustration] = []

    def add(found: Sequence[Finding], drawn: Sequence[Illustration] = ()) -> None:
        findings.extend(found)
        images.extend(drawn)
        for finding in found:
            log(f"{finding.step} {finding.verdict:5} {finding.name}: {finding.words}")

    add([initial_loss(parts)])
    overfit, image = overfit_few(parts)
    add([overfit], [image])
    test = range_test(parts)
    rate, image = judge_rate(test, recipe.lr_head * recipe.lr_scale)
    add([rate], [image])
    if plan.coarse:
        search = Search(parts, plan)
        search.suggested = test.suggested
        found, image = judge_trials(search.run(), parts.task.best_metric)
        add(found, [image])
    with tempfile.TemporaryDirectory() as scratch:
        add(*learn(parts, Path(scratch), optimal_error=optimal_error))
    add([leak(parts.data, parts.task.preprocess(recipe))])
    return Diagnosis(
        task=recipe.task,
        data=parts.data.name,
        recipe_toml=recipe.to_toml(),
        findings=tuple(findings),
        images=tuple(images),
    )


def tune(recipe: Recipe, data_root: Path, out: Path, plan: Plan, *, log: Log = lambda _: None) -> dict[str, Any]:
    """Steps three to five, in a folder: best.toml, trials.csv, trials.png, and study.journal to go on from.

    Args:
        recipe: of the task's own type: where the search starts, and what best.toml is but for the fields searched.
        data_root: the data set; only train and val are looked at.
        out: the folder; an interrupted search in it goes on.
        plan: how much.
        log: a line a trial.

    Returns:
        The best trial: fields, metric, phase.

    Raises:
        BadData, BadRecipe, BadCheckpoint, BadOutput: what the user can mend.
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
