"""The steps of the training loop (`TrainingModule`): freezing, the loss, averaging, scoring an epoch."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from foveal.errors import BadRecipe
from foveal.models.data.dataset import DataSet
from foveal.models.data.distributed import ALONE, World
from foveal.models.data.loading import derived_seed
from foveal.models.recipe import Recipe
from foveal.models.training.optimizers import configure, decays
from foveal.models.training.plots import draw_curves
from foveal.models.training.run_folder import Row, RunFolder, stale
from foveal.models.training.task import TaskTrainer
from foveal.progress import duration

Log = Callable[[str], None]
CURVES_EVERY_S = 20  # drawing takes half a second: no reason to do it after each short epoch


class LossDiverged(BadRecipe):
    """The loss became infinite or NaN."""


class TrainingModule(LightningModule):
    """The loop's content. `evaluated` is what validation, best.pt and last.pt see: averaged weights if any."""

    def __init__(
        self,
        task: TaskTrainer,
        network: nn.Module,
        data: DataSet[Any],
        recipe: Recipe,
        folder: RunFolder,
        steps: int,
        log: Log,
        processes: World = ALONE,
    ) -> None:
        super().__init__()
        self.network = network
        self.average = average_of(network, recipe)
        self._task, self._data, self._recipe, self._processes = task, data, recipe, processes
        self._folder, self._steps, self._log = folder, steps, log
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
        return self.average.module if self.average is not None and self.average.n_averaged > 0 else self.network

    def configure_optimizers(self) -> Any:
        """Called by Lightning once."""
        optimizer, schedule = configure(self.network, self._backbone(), self._recipe, self._steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Drop rows of an epoch that a killed run recorded but did not save for resuming."""
        self._averaged_at = self.trainer.global_step
        self._folder.keep_epochs(self.current_epoch)
        self._stop_when_stale()

    def on_train_epoch_start(self) -> None:
        """Freeze or unfreeze; seed dropout and the like, so that resuming needs no random state."""
        self._epoch_started = time.perf_counter()
        others = [self._processes.rank] if not self._processes.is_first else []  # each its own dropout
        torch.manual_seed(derived_seed(self._recipe.seed, self.current_epoch, *others))
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
        losses = dict(self._task.loss(self.network, batch, self._recipe))
        if self._recipe.l1:
            losses["l1"] = self._recipe.l1 * l1_norm(self.network)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise LossDiverged(
                f"the loss became {total.item()} in epoch {self.current_epoch + 1}, batch {batch_idx + 1}: "
                "expected a finite number; try a lower lr_head and lr_backbone, more warmup_epochs, or clip_norm"
            )
        self._losses.append({"loss": total.item(), **{f"loss_{k}": v.item() for k, v in losses.items()}})
        return total

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the average: EMA after every optimiser step (gradients may accumulate), SWA after an epoch's last."""
        stepped = self.trainer.global_step > self._averaged_at
        if self.average is None or not stepped:
            return
        start = self._recipe.swa_start
        if start is None or (self.trainer.is_last_batch and self.current_epoch >= start * self._recipe.epochs):
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
        """Score the epoch (its validation has run), record and log it."""
        rates = {f"lr_{g['name'].split(',')[0]}": g["lr"] for g in self.trainer.optimizers[0].param_groups}
        row: Row = {"epoch": self.current_epoch + 1, **_mean(self._processes.gathered(self._losses)), **rates}
        if val := self._data.splits.val:
            predictions = self._processes.gathered(self._predictions)
            scores = self._task.score(predictions, val, self._data.labels, self._recipe)
            row |= {f"val_{name}": value for name, value in scores.items()}
        row["seconds"] = round(time.perf_counter() - self._epoch_started, 2)
        best = self._folder.record(row, self.evaluated.state_dict(), f"val_{self._task.best_metric}")
        self._losses = []
        self._stop_when_stale()
        left = sum(r["seconds"] for r in self._folder.rows) / row["epoch"] * (self._recipe.epochs - row["epoch"])
        shown = (self._task.best_metric, *self._task.also_shown)
        self._log(epoch_line(row, self._recipe.epochs, shown, best=best, left_s=left))
        if self._processes.is_first and time.perf_counter() - self._drawn > CURVES_EVERY_S:
            draw_curves(self._folder.path / "curves.png", self._folder.rows)
            self._drawn = time.perf_counter()

    def _backbone(self) -> nn.Module:
        return self._task.backbone(self.network)

    def _stop_when_stale(self) -> None:
        """Early stopping; it depends on metrics.csv alone, so a resumed run decides as an uninterrupted one."""
        if stale(self._folder.rows, f"val_{self._task.best_metric}", self._recipe.patience):
            self.trainer.should_stop = True


def average_of(network: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """The averaged copy that the recipe asks for: EMA or SWA, buffers too (BatchNorm statistics are averaged alike)."""
    if recipe.ema_decay is not None:
        average = AveragedModel(network, multi_avg_fn=ema(recipe.ema_decay), use_buffers=True)
    elif recipe.swa_start is not None:
        average = AveragedModel(network, avg_fn=running_mean, use_buffers=True)
    else:
        return None
    average.requires_grad_(False)
    return average


def running_mean(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """SWA: the mean of all weights so far (whole numbers, such as counters, are the last)."""
    return averaged + (current - averaged) / (count + 1) if averaged.is_floating_point() else current


def l1_norm(network: nn.Module) -> Tensor:
    """Sum of |weight| over what learns now; biases and norms are left alone, as by weight decay."""
    parts = [p.abs().sum() for p in network.parameters() if p.requires_grad and decays(p)]
    return torch.stack(parts).sum()


def ema(decay: float) -> Callable[..., None]:
    """EMA whose decay starts low, min(decay, (1 + n) / (10 + n)), as TensorFlow's: it forgets the initial weights."""

    def update(averaged: Any, current: Any, count: Any) -> None:
        n = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, count)  # type: ignore[no-untyped-call]

    return update


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} if rows else {}


def epoch_line(row: Row, epochs: int, metrics: Sequence[str], *, best: bool, left_s: float) -> str:
    """An epoch in a line: its loss, these metrics of val, its time, and the time left when none of the rest stops."""
    scores = "  ".join(f"{metric} {row[f'val_{metric}']:.4f}" for metric in metrics if f"val_{metric}" in row)
    scored = f"val {scores}  " if scores else ""
    left = f", {duration(left_s)} left at most" if row["epoch"] < epochs else ""
    mark = "  best so far" if best and scored else ""
    return f"epoch {row['epoch']:.0f}/{epochs}  loss {row['loss']:.4f}  {scored}{row['seconds']:.1f} s{left}{mark}"
