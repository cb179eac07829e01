"""The files of a training run (`RunFolder`), from which a killed run is resumed.

    recipe.toml     the resolved recipe
    run.json        task, labels, preprocess, data fingerprint and counts, licences, seed, versions
    data.json       where the data set was, and which sample is in which split
    metrics.csv     one line an epoch
    curves.png      the same as a figure; the task adds its own (confusion.png, …)
    best.pt last.pt state_dicts of the evaluated weights (the averaged ones with EMA): tensors only
    resume/         what the optimiser knows, to go on with an interrupted run or for more epochs
    result.json     val and test metrics of the best checkpoint; its presence means: finished
    result-N-epochs.json    the same of the N epochs before a finished run was given more

Every file is written beside its place and renamed into it, so that a kill never leaves half a file.
"""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from foveal.errors import BadCheckpoint, BadOutput
from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import SPLITS, DataSet
from foveal.models.recipe import Recipe
from foveal.packages.manifest import Data, Licences

Row = dict[str, float]


class RunInfo(BaseModel):
    """run.json: everything about a run that its weights need to be used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    architecture: str
    labels: tuple[str, ...]
    preprocess: Preprocess
    data: Data
    licences: Licences
    seed: int
    parameters: int
    versions: dict[str, str]


class RunFolder:
    """A run's files. `rows` are the epochs so far. Of several processes that train together only one `writes`."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path, self._writes = path, writes
        self.extended_from: int | None = None  # epochs of the finished run that goes on
        self.rows: list[Row] = _read_rows(path / "metrics.csv")

    @property
    def resume_file(self) -> Path:
        """Lightning's checkpoint of the last finished epoch."""
        return self.path / "resume" / "last.ckpt"

    def open(self, recipe: Recipe, info: RunInfo, data: DataSet[Any], data_root: Path) -> bool:
        """Start a run here, or take up the one that was interrupted here.

        Returns:
            True when there is an epoch to go on from.

        Raises:
            BadOutput: the folder holds something else, a finished run, or one of another recipe or data set.
        """
        written = self.path / "run.json"
        if not written.exists():
            if self.path.exists() and any(self.path.iterdir()):
                raise BadOutput(f"{self.path}: expected an empty folder or an interrupted run")
            self.path.mkdir(parents=True, exist_ok=True)
            _write(self.path / "recipe.toml", recipe.to_toml().encode())
            _write_json(self.path / "data.json", _data_json(data, data_root))
            _write(written, info.model_dump_json(indent=2).encode())
            return False
        finished = (self.path / "result.json").exists()
        before = type(recipe).load(self.path / "recipe.toml")
        if finished and recipe.epochs <= before.epochs:
            raise BadOutput(
                f"{self.path}: this run is finished; choose another folder, or more epochs than {before.epochs}"
            )
        self._expect_same(recipe.model_copy(update={"epochs": before.epochs}) if finished else recipe, info)
        if finished:
            self._extend(recipe, before.epochs)
        return self.resume_file.exists()

    def _extend(self, recipe: Recipe, epochs: int) -> None:
        """A finished run with more epochs; its result so far is kept beside.

        Raises:
            BadOutput: what the optimiser knew is gone.
        """
        if not self.resume_file.exists():
            raise BadOutput(f"{self.path}: expected {self.resume_file.relative_to(self.path)} to go on from, got none")
        self.extended_from = epochs
        _write(self.path / "recipe.toml", recipe.to_toml().encode())
        os.replace(self.path / "result.json", self.path / f"result-{epochs}-epochs.json")

    def _expect_same(self, recipe: Recipe, info: RunInfo) -> None:
        before = type(recipe).load(self.path / "recipe.toml").model_dump()
        after = recipe.model_dump()
        if changed := [f"{k} was {before[k]!r}, is {v!r}" for k, v in after.items() if before[k] != v]:
            raise BadOutput(f"{self.path}: an interrupted run of another recipe ({'; '.join(changed)})")
        data = read_info(self.path).data
        if data.fingerprint != info.data.fingerprint or data.images != info.data.images:
            raise BadOutput(
                f"{self.path}: an interrupted run on other data ({counts_in_words(data.images)}, {data.fingerprint})"
            )

    def where_it_goes_on(self, epochs: int, best_metric: str) -> str:
        """What an interrupted run has, in words."""
        if not self.rows:
            return f"{self.path}: no whole epoch was saved; it begins anew"
        best, metric = best_epoch(self.rows, f"val_{best_metric}"), f"val_{best_metric}"
        scored = f", val {best_metric} {self.rows[best - 1][metric]:.4f}" if metric in self.rows[best - 1] else ""
        return f"{self.path}: goes on after epoch {len(self.rows)} of {epochs}; best so far: epoch {best}{scored}"

    def keep_epochs(self, count: int) -> None:
        """Forget rows of epochs that were recorded but must be run again."""
        self.rows = self.rows[:count]

    def record(self, row: Row, weights: Mapping[str, Tensor], best_metric: str) -> bool:
        """Add an epoch; True when it is the best so far: by `rank`."""
        best = all(rank(row, best_metric) > rank(earlier, best_metric) for earlier in self.rows)
        self.rows.append(row)
        if not self._writes:
            return best
        save_state(self.path / "last.pt", weights)
        if best:
            save_state(self.path / "best.pt", weights)
        _write(self.path / "metrics.csv", _csv(self.rows))
        return best

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json. What the optimiser knows stays, for more epochs."""
        _write_json(self.path / "result.json", result)


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Images by split: `170 train, 36 val, 38 test images`."""
    return f"{', '.join(f'{count} {split}' for split, count in counts.items())} images"


def rank(row: Row, best_metric: str) -> tuple[float, float]:
    """The order of epochs: by the metric, then by a low val_loss (small val splits tie); of equals the first is best.

    Without a val split (train_on_val) there is no metric, and later is better.
    """
    return row.get(best_metric, row["epoch"]), -row.get("val_loss", 0.0)


def best_epoch(rows: Sequence[Row], best_metric: str) -> int:
    """The number of the best epoch, from 1; the first of equals."""
    return int(max(rows, key=lambda row: rank(row, best_metric))["epoch"])


def stale(rows: Sequence[Row], best_metric: str, patience: int | None) -> bool:
    """Whether the best epoch lies `patience` epochs back (Prechelt, "Early Stopping: But When?", 1998)."""
    return patience is not None and bool(rows) and rows[-1]["epoch"] - best_epoch(rows, best_metric) >= patience


def read_info(run: Path) -> RunInfo:
    """run.json of a run folder.

    Raises:
        BadCheckpoint: no run folder, or a damaged one.
    """
    try:
        return RunInfo.model_validate_json((run / "run.json").read_bytes())
    except OSError as error:
        raise BadCheckpoint(f"{run}: expected a run folder with run.json: {error.strerror}") from None
    except ValidationError as error:
        raise BadCheckpoint(f"{run / 'run.json'}: {error.errors()[0]['msg']}") from None


def save_state(path: Path, weights: Mapping[str, Tensor]) -> None:
    """A state_dict, on the CPU, tensors only."""
    buffer = io.BytesIO()
    torch.save({name: value.detach().cpu() for name, value in weights.items()}, buffer)
    _write(path, buffer.getvalue())


def data_root(run: Path) -> Path:
    """Where the data set of a run was when it started.

    Raises:
        BadCheckpoint: no data.json, or a damaged one.
    """
    path = run / "data.json"
    try:
        return Path(json.loads(path.read_bytes())["root"])
    except (OSError, ValueError, KeyError) as error:
        raise BadCheckpoint(f"{path}: expected the place of the data set: {error}") from None


def _data_json(data: DataSet[Any], root: Path) -> dict[str, Any]:
    names = {split: [sample.name for sample in data.splits[split]] for split in SPLITS}
    described = {"name": data.name, "layout": data.layout, "fingerprint": data.fingerprint}
    return {"root": str(root.absolute()), **described, "splits": names}


def _csv(rows: list[Row]) -> bytes:
    text = io.StringIO(newline="")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [{n: int(v) if v.isdecimal() else float(v) for n, v in row.items()} for row in rows]


def _write_json(path: Path, value: Any) -> None:
    _write(path, json.dumps(value, indent=2, ensure_ascii=False).encode())


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.partial")
    beside.write_bytes(content)
    os.replace(beside, path)
