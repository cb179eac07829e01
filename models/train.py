"""The training frame: one for all tasks. What a sample, a loss or a metric is, the task's plug knows (tasks.py).

Fine-tuning in four steps: 1 a source model, 2 all of it but the head, 3 a new head, 4 head fast and backbone slow
(`frozen_epochs` with the head alone, then two learning rates). Lightning runs the loop; this file says what happens in
it and what is written down.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from foveal.errors import BadRecipe
from foveal.manifest import Data, Licences
from foveal.models.backbones import backbone
from foveal.models.checkpoint import load_run, predict_all
from foveal.models.data import DataSet
from foveal.models.loading import derived_seed, eval_loader, train_loader
from foveal.models.optim import configure
from foveal.models.plots import draw_curves
from foveal.models.recipe import Recipe
from foveal.models.run_folder import Row, RunFolder, RunInfo, rank
from foveal.models.tasks import TaskTrainer, trainer_of

Say = Callable[[str], None]
CURVES_EVERY_S = 20  # drawing takes half a second: no reason to do it after each short epoch


def train(recipe: Recipe, data_root: Path, out: Path, *, workers: int = 0, say: Say = lambda _: None) -> dict[str, Any]:
    """Train, or go on with an interrupted training in the same folder.

    Args:
        recipe: of the task's own type.
        data_root: the data set.
        out: the run folder (run_folder.py says what is in it).
        workers: processes that prepare samples beside the training process; the result does not depend on it.
        say: gets a line for a person now and then.

    Returns:
        The content of result.json.

    Raises:
        BadData, BadRecipe, BadCheckpoint, BadOutput: what the user can mend.
    """
    task = trainer_of(recipe.task)
    data = task.load_data(data_root, recipe)
    for note in data.notes:
        say(note)
    seed_everything(recipe.seed, verbose=False)
    folder = RunFolder(out)
    network = task.build(recipe, data.labels, weights=recipe.weights)
    info = describe_run(task, recipe, data, network)
    resumed = folder.open(recipe, info, data, data_root)
    say(f"{info.architecture}, {info.parameters:,} parameters; {data.splits.counts()}")
    fit(task, network, data, recipe, folder, resume=resumed, workers=workers, say=say)
    return finish(task, data, recipe, folder)


def describe_run(task: TaskTrainer, recipe: Recipe, data: DataSet[Any], network: nn.Module) -> RunInfo:
    """run.json of a run that starts now."""
    weights = {"none": "trained from random weights", "imagenet": backbone(recipe.backbone).licence}
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
    workers: int,
    say: Say,
) -> None:
    """The loop: epochs with a validation after each, recorded in the folder."""
    splits = data.splits
    batches = train_loader(
        task.train_set(splits.train, recipe),
        len(splits.train),
        recipe.batch_size,
        task.collate,
        seed=recipe.seed,
        workers=workers,
    )
    validation = eval_loader(task.eval_set(splits.val, recipe), recipe.batch_size, task.collate)
    module = TrainingModule(task, network, data, recipe, folder, steps_per_epoch(len(batches), recipe), say)
    keeper = ModelCheckpoint(
        folder.resume_file.parent, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    with quiet_lightning():
        trainer = Trainer(
            max_epochs=recipe.epochs,
            callbacks=[keeper],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            gradient_clip_val=recipe.clip_norm,
            accumulate_grad_batches=recipe.accumulate,
            deterministic=True,
            devices=1,
        )
        trainer.fit(module, batches, validation, ckpt_path=folder.resume_file if resume else None, weights_only=True)


def steps_per_epoch(batches: int, recipe: Recipe) -> int:
    """Optimiser steps: Lightning steps once more for a rest that fills no accumulation."""
    return -(-batches // recipe.accumulate)


class TrainingModule(LightningModule):
    """The loop's content. `evaluated` is what validation, best.pt and last.pt see: the EMA weights if there are any."""

    def __init__(
        self,
        task: TaskTrainer,
        network: nn.Module,
        data: DataSet[Any],
        recipe: Recipe,
        folder: RunFolder,
        steps: int,
        say: Say,
    ) -> None:
        super().__init__()
        self.network = network
        self.average = (
            AveragedModel(network, multi_avg_fn=_ema(recipe.ema_decay), use_buffers=True)
            if (recipe.ema_decay)
            else None
        )
        self._task, self._data, self._recipe, self._folder, self._steps, self._say = (
            task,
            data,
            recipe,
            folder,
            steps,
            say,
        )
        # what the task froze for good stays frozen
        self._learning = [p for p in self._backbone().parameters() if p.requires_grad]
        self._losses: list[dict[str, float]] = []
        self._predictions: list[Any] = []
        self._averaged_at = 0
        self._epoch_started = 0.0
        self._drawn = time.perf_counter()

    @property
    def evaluated(self) -> nn.Module:
        """The network whose metrics count."""
        return self.network if self.average is None else self.average.module

    def configure_optimizers(self) -> Any:
        """Called by Lightning once."""
        optimizer, schedule = configure(self.network, self._backbone(), self._recipe, self._steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Forget rows of an epoch that a killed run recorded but did not save for resuming."""
        self._averaged_at = self.trainer.global_step
        self._folder.keep_epochs(self.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Freeze or thaw; seed dropout and the like, so that resuming needs no random state."""
        self._epoch_started = time.perf_counter()
        torch.manual_seed(derived_seed(self._recipe.seed, self.current_epoch))
        self.network.train()
        frozen = self.current_epoch < self._recipe.frozen_epochs or self._recipe.lr_backbone == 0
        for parameter in self._learning:
            parameter.requires_grad_(not frozen)
        if frozen:
            self._backbone().eval()
        elif self._recipe.freeze_batchnorm:
            for module in self._backbone().modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        losses = self._task.loss(self.network, batch, self._recipe)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise BadRecipe(
                f"the loss became {total.item()} in epoch {self.current_epoch + 1}, batch {batch_idx + 1}: "
                "expected a finite number; try a lower lr_head and lr_backbone, more warmup_epochs, or clip_norm"
            )
        self._losses.append({"loss": total.item(), **{f"loss_{k}": v.item() for k, v in losses.items()}})
        return total

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the average after every optimiser step (not every batch: gradients may accumulate)."""
        if self.average is not None and self.trainer.global_step > self._averaged_at:
            self.average.update_parameters(self.network)
            self._averaged_at = self.trainer.global_step

    def on_validation_epoch_start(self) -> None:
        """Validation looks at the averaged weights."""
        self._predictions = []
        self.evaluated.eval()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Predict one batch."""
        self._predictions += self._task.predict(self.evaluated, batch)

    def on_train_epoch_end(self) -> None:
        """Score the epoch (its validation has run), write it down, say it."""
        rates = {f"lr_{g['name'].split(',')[0]}": g["lr"] for g in self.trainer.optimizers[0].param_groups}
        row: Row = {"epoch": self.current_epoch + 1, **_mean(self._losses), **rates}
        scores = self._task.score(self._predictions, self._data.splits.val, self._data.labels, self._recipe)
        row |= {f"val_{name}": value for name, value in scores.items()}
        row["seconds"] = round(time.perf_counter() - self._epoch_started, 2)
        best = self._folder.record(row, self.evaluated.state_dict(), f"val_{self._task.best_metric}")
        self._losses = []
        self._say(_epoch_line(row, self._recipe.epochs, self._task.best_metric, best))
        if time.perf_counter() - self._drawn > CURVES_EVERY_S:
            draw_curves(self._folder.path / "curves.png", self._folder.rows)
            self._drawn = time.perf_counter()

    def _backbone(self) -> nn.Module:
        return self._task.backbone(self.network)


def finish(task: TaskTrainer, data: DataSet[Any], recipe: Recipe, folder: RunFolder) -> dict[str, Any]:
    """Score the best checkpoint on val and, once, on test; draw the task's pictures of val."""
    draw_curves(folder.path / "curves.png", folder.rows)
    checkpoint = load_run(folder.path)
    result: dict[str, Any] = {"best_epoch": _best_epoch(folder.rows, f"val_{task.best_metric}")}
    for split in ("val", "test"):
        samples = data.splits[split]
        if not samples:
            continue
        predictions = predict_all(checkpoint, samples)
        result[split] = {"images": len(samples), **task.score(predictions, samples, data.labels, recipe)}
        if split == "val":
            task.report(folder.path, predictions, samples, data.labels)
    result["seconds"] = round(sum(row["seconds"] for row in folder.rows), 1)
    folder.finish(result)
    return result


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's advertising and its advice that does not apply here; real warnings still come."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # workers are the caller's choice: on two cores they compete with the training itself
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # we resume
            # Lightning 2.6 calls what torch 2.15 deprecates; nothing of ours
            warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\)", module="lightning.*")
            yield
    finally:
        logger.setLevel(level)


def _ema(decay: float) -> Callable[..., None]:
    """EMA whose first steps forget faster, min(decay, (1 + n) / (10 + n)), as TensorFlow's: no ballast of the start."""

    def update(averaged: Any, current: Any, count: Any) -> None:
        n = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, count)  # type: ignore[no-untyped-call]

    return update


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} if rows else {}


def _best_epoch(rows: Sequence[Row], metric: str) -> int:
    return int(max(rows, key=lambda row: rank(row, metric))["epoch"])  # max keeps the first of equals


def _epoch_line(row: Row, epochs: int, metric: str, best: bool) -> str:
    mark = "  best so far" if best else ""
    return (
        f"epoch {row['epoch']:.0f}/{epochs}  loss {row['loss']:.4f}  "
        f"val {metric} {row[f'val_{metric}']:.4f}  {row['seconds']:.1f} s{mark}"
    )
