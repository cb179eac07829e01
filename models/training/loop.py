"""The training loop, one for all tasks; the `TaskTrainer` defines samples, losses and metrics.

Fine-tuning in four steps: 1 a source model, 2 all of it but the head, 3 a new head, 4 head fast and backbone slow
(`frozen_epochs` with the head alone, then two learning rates). Lightning runs the loop; this file says what happens in
it and what is written down.
"""

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from foveal.errors import BadRecipe
from foveal.models.backbones import backbone
from foveal.models.backbones.weights import is_run
from foveal.models.data.dataset import DataSet
from foveal.models.data.distributed import ALONE, World
from foveal.models.data.loading import eval_loader, train_loader
from foveal.models.recipe import Recipe
from foveal.models.training.checkpoint import Checkpoint, predict_all
from foveal.models.training.initialization import hasten_statistics, initialise
from foveal.models.training.module import Log, TrainingModule
from foveal.models.training.plots import draw_curves
from foveal.models.training.progress import EpochProgress
from foveal.models.training.run_folder import RunFolder, RunInfo, best_epoch, counts_in_words, read_info
from foveal.models.training.task import TaskTrainer
from foveal.models.training.workers import expect_room, worker_faults
from foveal.packages.manifest import Data, Licences


def train_epochs(
    task: TaskTrainer,
    recipe: Recipe,
    data: DataSet[Any],
    data_root: Path,
    out: Path,
    *,
    workers: int = 0,
    log: Log = lambda _: None,
    progress: bool = False,
    processes: World = ALONE,
) -> RunFolder:
    """All epochs of a run, in a new folder or one where a run was interrupted; the test split is not read.

    Args:
        task: whose network is trained.
        recipe: of the task's own type.
        data: what is trained on.
        data_root: where it was read from, for the run folder.
        out: the run folder (its files: run_folder.py).
        workers: processes that prepare samples beside the training process; the result does not depend on it.
        log: gets a line for a person now and then.
        progress: show on stderr how far an epoch is.
        processes: those that train together.

    Raises:
        BadData, BadRecipe, BadCheckpoint, BadOutput: the user's faults. WorkersFailed: the machine's.
    """
    seed_everything(recipe.seed, verbose=False)
    folder = RunFolder(out, writes=processes.is_first)
    network = task.build(recipe, data.labels, weights=recipe.weights)
    initialise(task.backbone(network), recipe.init)
    if recipe.weights == "none":
        hasten_statistics(task.backbone(network))
    task.prepare(network, data.splits.train, recipe)
    info = describe_run(task, recipe, data, network)
    resumed = processes.from_first(processes.is_first and folder.open(recipe, info, data, data_root))
    log(f"{info.architecture}, {info.parameters:,} parameters; {counts_in_words(data.splits.counts())}")
    if resumed:
        log(folder.where_it_goes_on(recipe.epochs, task.best_metric))
    if folder.extended_from is not None:
        log(
            f"a finished run of {folder.extended_from} epochs goes on to {recipe.epochs}: from here the "
            f"{recipe.schedule} schedule is that of all of them, so the learning rate may rise first"
        )
    how: dict[str, Any] = {"workers": workers, "log": log, "progress": progress, "processes": processes}
    fit(task, network, data, recipe, folder, resume=resumed, **how)
    return folder


def describe_run(task: TaskTrainer, recipe: Recipe, data: DataSet[Any], network: nn.Module) -> RunInfo:
    """run.json of a run that starts now."""
    weights = {
        "none": "trained from random weights",
        "imagenet": backbone(recipe.backbone).licence,
        "coco": "BSD-3-Clause (torchvision), trained on COCO 2017",
    }
    if is_run(recipe.weights):
        before = read_info(Path(recipe.weights))
        weights[recipe.weights] = (
            f"{before.licences.weights}; then trained on {before.data.name}: {before.licences.data}"
        )
    return RunInfo(
        task=recipe.task,
        architecture=task.architecture(recipe),
        labels=data.labels,
        preprocess=task.preprocess(recipe),
        data=Data(name=data.name, layout=data.layout, fingerprint=data.fingerprint, images=data.splits.counts()),
        licences=Licences(
            data=recipe.data_licence,
            weights=recipe.weights_licence or weights.get(recipe.weights, f"not stated ({Path(recipe.weights).name})"),
        ),
        seed=recipe.seed,
        parameters=sum(p.numel() for p in network.parameters()),
        versions={name: version(name) for name in ("foveal", "torch", "torchvision", "lightning", "numpy")},
    )


def fit(
    task: TaskTrainer,
    network: nn.Module,
    data: DataSet[Any],
    recipe: Recipe,
    folder: RunFolder,
    *,
    resume: bool,
    workers: int = 0,
    log: Log = lambda _: None,
    progress: bool = False,
    processes: World = ALONE,
) -> None:
    """The loop: epochs with a validation after each, recorded in the folder.

    Raises:
        BadRecipe: a loss that is not finite, or arithmetic that this machine does not have.
        WorkersFailed: the processes that prepare samples died, hang, or lack shared memory.
        KeyboardInterrupt: Ctrl-C; the epochs so far are in the folder.
    """
    splits = data.splits
    train_set = task.train_set(splits.train, recipe)
    expect_room(train_set, batch_size=recipe.batch_size // processes.size, workers=workers)
    batches = train_loader(
        train_set,
        len(splits.train),
        recipe.batch_size,
        task.collate,
        seed=recipe.seed,
        workers=workers,
        world=processes,
        shares=task.sampling_shares(splits.train, recipe),
    )
    val = task.eval_set(processes.share(splits.val), recipe) if splits.val else None
    validation = eval_loader(val, recipe.batch_size, task.collate) if val is not None else None
    steps = steps_per_epoch(len(batches), recipe)
    module = TrainingModule(task, network, data, recipe, folder, steps, log, processes)
    keeper = ModelCheckpoint(
        folder.resume_file.parent, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    meters = [EpochProgress()] if progress and processes.is_first else []
    with quiet_lightning(), worker_faults():
        trainer = Trainer(
            max_epochs=recipe.epochs,
            callbacks=[keeper, *meters],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            gradient_clip_val=recipe.clip_norm,
            accumulate_grad_batches=recipe.accumulate,
            precision=_precision(recipe),
            deterministic=True,
            **_parallel(recipe, processes),
        )
        with _interruptible(trainer):
            resumed_from = folder.resume_file if resume else None
            trainer.fit(module, batches, validation, ckpt_path=resumed_from, weights_only=True)


@contextmanager
def _interruptible(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C as Python has it; Lightning ends the process and goes on to ignore the signal."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from None


def _precision(recipe: Recipe) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    if recipe.precision == "16-mixed" and not torch.cuda.is_available():
        raise BadRecipe("precision: expected a GPU for 16-mixed, got none; bf16-mixed and 32-true run on CPUs")
    return recipe.precision


def _parallel(recipe: Recipe, processes: World) -> dict[str, Any]:
    """Lightning's Trainer arguments: one device, or one a process of torchrun's."""
    if processes.size == 1:
        return {"devices": 1}
    thaws = recipe.frozen_epochs > 0 or recipe.lr_backbone == 0  # then steps leave parameters out
    return {
        "devices": processes.local_size,
        "num_nodes": processes.size // processes.local_size,
        "strategy": DDPStrategy(find_unused_parameters=thaws),
        "sync_batchnorm": torch.cuda.is_available(),
        "use_distributed_sampler": False,  # loading.SampleKeySampler shares the batches
    }


def steps_per_epoch(batches: int, recipe: Recipe) -> int:
    """Optimiser steps: Lightning steps once more for a rest that fills no accumulation."""
    return -(-batches // recipe.accumulate)


def finish(checkpoint: Checkpoint, data: DataSet[Any], folder: RunFolder) -> dict[str, Any]:
    """Score the best checkpoint on val and, once, on test; draw the task's figures of val. Returns result.json."""
    task, recipe = checkpoint.trainer, checkpoint.recipe
    draw_curves(folder.path / "curves.png", folder.rows)
    result: dict[str, Any] = {"best_epoch": best_epoch(folder.rows, f"val_{task.best_metric}")}
    for split in ("val", "test"):
        samples = data.splits[split]
        if not samples:
            continue
        predictions = predict_all(checkpoint, samples)
        result[split] = {"images": len(samples), **task.score(predictions, samples, data.labels, recipe)}
        if split == "val":
            task.report(folder.path, predictions, samples, data.labels, recipe)
    result["seconds"] = round(sum(row["seconds"] for row in folder.rows), 1)
    folder.finish(result)
    return result


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning without its advertising and its advice that does not apply here; other warnings still come."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # workers are the caller's choice: on two cores they compete with the training itself
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # we resume
            # train_on_val leaves no val split
            warnings.filterwarnings("ignore", message="You defined a `validation_step` but have no `val_dataloader`")
            # Lightning 2.6 calls what torch 2.15 deprecates; nothing of ours
            warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\)", module="lightning.*")
            yield
    finally:
        logger.setLevel(level)
