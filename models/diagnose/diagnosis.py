"""The six steps of a diagnosis in order (`diagnose`)."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from foveal.models.diagnose.curves import judge_training
from foveal.models.diagnose.findings import Diagnosis, Finding, Illustration
from foveal.models.diagnose.leakage import find_leakage
from foveal.models.diagnose.parts import TrainingParts
from foveal.models.diagnose.range_test import judge_rate, range_test
from foveal.models.diagnose.sanity_checks import initial_loss, overfit_few
from foveal.models.diagnose.search import Plan, Search, judge_trials
from foveal.models.recipe import Recipe

Log = Callable[[str], None]


def diagnose(
    recipe: Recipe, data_root: Path, plan: Plan, *, optimal_error: float = 0.0, log: Log = lambda _: None
) -> Diagnosis:
    """All six steps.

    Args:
        recipe: of the task's own type; step 6 trains for its epochs.
        data_root: the data set.
        plan: of steps 4 and 5; without trials they are left out.
        optimal_error: the lowest that is possible, such as a person's; 1 - the task's metric.
        log: gets each step as it begins and each finding as it is made.

    Raises:
        BadData, BadRecipe, BadCheckpoint: the user's faults.
    """
    parts = TrainingParts.of(recipe, data_root)
    findings: list[Finding] = []
    images: list[Illustration] = []

    def add(found: Sequence[Finding], drawn: Sequence[Illustration] = ()) -> None:
        findings.extend(found)
        images.extend(drawn)
        for finding in found:
            log(f"{finding.step} {finding.verdict:5} {finding.name}: {finding.words}")

    log("step 1: the loss before training")
    add([initial_loss(parts)])
    log("step 2: overfitting a dozen samples")
    overfit, image = overfit_few(parts)
    add([overfit], [image])
    log("step 3: range test of the learning rate")
    test = range_test(parts)
    rate, image = judge_rate(test, recipe.lr_head * recipe.lr_scale)
    add([rate], [image])
    if plan.coarse:
        search = Search(parts, plan)
        search.suggested = test.suggested
        log(f"steps 4 and 5: {plan.coarse + plan.fine} short trainings with other rates")
        found, image = judge_trials(search.run(log), parts.task.best_metric)
        add(found, [image])
    log(f"step 6: a training of {recipe.epochs} epochs")
    with tempfile.TemporaryDirectory() as scratch:
        add(*judge_training(parts, Path(scratch), optimal_error=optimal_error, log=log))
    add([find_leakage(parts.data, parts.task.preprocess(recipe))])
    return Diagnosis(
        task=recipe.task,
        data=parts.data.name,
        recipe_toml=recipe.to_toml(),
        findings=tuple(findings),
        images=tuple(images),
    )
