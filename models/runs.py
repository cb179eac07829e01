"""Training runs: what composes the registries of tasks with the training loop (`train`, `load_run`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from foveal.models.data.distributed import world
from foveal.models.readers import load_data, reader_of
from foveal.models.recipe import Recipe
from foveal.models.tasks import trainer_of
from foveal.models.training.advice import advice
from foveal.models.training.checkpoint import Checkpoint, load_checkpoint
from foveal.models.training.exportable import check_exportable, held_out_note
from foveal.models.training.loop import finish, train_epochs
from foveal.models.training.module import Log
from foveal.models.training.run_folder import RunFolder, data_root, read_info


def train(
    recipe: Recipe,
    data_root: Path,
    out: Path,
    *,
    workers: int = 0,
    log: Log = lambda _: None,
    progress: bool = False,
) -> dict[str, Any]:
    """Train, or go on with an interrupted training in the same folder.

    Args:
        recipe: of the task's own type.
        data_root: the data set.
        out: the run folder (its files: training/run_folder.py).
        workers: processes that prepare samples beside the training process; the result does not depend on it.
        log: gets a line for a person now and then.
        progress: show on stderr how far an epoch is.

    Returns:
        The content of result.json.

    Raises:
        BadData, BadRecipe, BadCheckpoint, BadOutput: the user's faults, among them all that `foveal export` would
            refuse the finished run for.
        KeyboardInterrupt: Ctrl-C; the same call goes on from the last whole epoch.
    """
    with world() as processes:
        task, data = trainer_of(recipe.task), load_data(recipe, data_root)
        check_exportable(task, recipe, data)
        reported = log if processes.is_first else _silent
        for note in (*data.notes, *held_out_note(data), *advice(task, recipe, data)):
            reported(note)
        how: dict[str, Any] = {"workers": workers, "log": reported, "progress": progress}
        folder = train_epochs(task, recipe, data, data_root, out, processes=processes, **how)
        if processes.is_first:
            reported("scores the best epoch on the held-out images")
        result = finish(load_run(out), data, folder) if processes.is_first else {}
        return processes.from_first(result)


def interrupted(run: Path, overrides: Sequence[str] = ()) -> tuple[Recipe, Path]:
    """Recipe and data set of a run folder, to go on with it by `train`; with `epochs=N` for more of them.

    Raises:
        BadCheckpoint: no run folder, or a damaged one. BadRecipe: a damaged recipe.
    """
    info = read_info(run)
    return reader_of(info.task).recipe_type.load(run / "recipe.toml", overrides), data_root(run)


def run_epochs(recipe: Recipe, data_root: Path, out: Path, *, log: Log = lambda _: None) -> RunFolder:
    """All of `train` but the last step: the test split is neither needed nor read."""
    return train_epochs(trainer_of(recipe.task), recipe, load_data(recipe, data_root), data_root, out, log=log)


def load_run(run: Path, which: Literal["best", "last"] = "best") -> Checkpoint:
    """Rebuild the network of a run folder.

    Args:
        run: the folder that `foveal train` wrote.
        which: the epoch with the best val metric, or the last.

    Raises:
        BadCheckpoint: no run folder, a damaged one, or weights that do not fit its recipe.
    """
    info = read_info(run)
    return load_checkpoint(trainer_of(info.task), run, info, which)


def _silent(_: str) -> None:
    """The log of processes beside the first."""
