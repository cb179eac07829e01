"""Counts of a data set (`Counted`): classes, sizes and colours, as numbers and as histograms."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from foveal.imaging.decode import read_header
from foveal.imaging.drawing import colour_of
from foveal.models.data.colour import Colours
from foveal.models.data.dataset import SPLITS, DataSet, Sample
from foveal.models.training.plots import drawable
from foveal.models.training.task import TaskTrainer

BINS = 40


@dataclass(frozen=True)
class Counted:
    """A data set's counts; images' headers are read when sizes are first asked for."""

    data: DataSet[Any]
    classes: dict[str, Counter[str]]  # split -> how much of each label, in the task's unit
    colours: Colours  # of the train split's model inputs, in [0, 1]
    trainer: TaskTrainer  # of the data set's task

    def described(self) -> dict[str, Any]:
        """The figures as one JSON object; `object_px` is there for tasks that have objects."""
        sizes, objects = self._sizes_hw, self._object_px
        return {
            "data": self.data.name,
            "layout": self.data.layout,
            "images": self.data.splits.counts(),
            "unit": self.trainer.unit,
            "classes": {split: dict(counted) for split, counted in self.classes.items()},
            "height_px": _range(sizes[:, 0]),
            "width_px": _range(sizes[:, 1]),
            **({} if objects is None else {"object_px": {k: _range(px) for k, px in objects.items() if len(px)}}),
            "mean_rgb": self.colours.mean.round(4).tolist(),
            "std_rgb": self.colours.std.round(4).tolist(),
            "principal_spread": self.colours.component_std.round(4).tolist(),
            "principal_rgb": self.colours.directions.T.round(4).tolist(),
            "notes": list(self.data.notes),
        }

    def draw_histograms(self, path: Path) -> None:
        """Classes by split, sizes of images, sizes of objects where there are any, principal colours."""
        with drawable(self.data.labels) as drawn:
            self._histograms(drawn).savefig(path, dpi=100)

    def _histograms(self, drawn: Mapping[str, str]) -> Figure:
        panels = [self._draw_classes, self._draw_sizes, self._draw_colours]
        if self._object_px is not None:
            panels.insert(2, self._draw_objects)
        figure = Figure(figsize=(5 * len(panels), 4), layout="constrained")
        for axes, draw in zip(figure.subplots(1, len(panels)), panels, strict=True):
            draw(axes, drawn)
        return figure

    @cached_property
    def _samples(self) -> list[Sample[Any]]:
        return [sample for split in SPLITS for sample in self.data.splits[split]]

    @cached_property
    def _sizes_hw(self) -> npt.NDArray[np.int64]:
        """(N, 2) height and width in px of every image, after EXIF."""
        return np.array([read_header(sample.path.read_bytes()).image_hw for sample in self._samples], np.int64)

    @cached_property
    def _object_px(self) -> dict[str, npt.NDArray[np.float64]] | None:
        """Label -> one number an object, its size whatever its shape; None: the task has no objects."""
        sides = [self.trainer.object_sides_px(sample.truth, self.data.labels) for sample in self._samples]
        known = [one for one in sides if one is not None]
        if len(known) < len(sides):
            return None
        return {label: np.concatenate([one[label] for one in known]) for label in self.data.labels}

    def _draw_classes(self, axes: Axes, drawn: Mapping[str, str]) -> None:
        bottom = np.zeros(len(self.data.labels))
        for split, counted in self.classes.items():
            heights = np.array([counted[label] for label in self.data.labels])
            axes.bar([drawn[label] for label in self.data.labels], heights, bottom=bottom, label=split)
            bottom += heights
        axes.tick_params(axis="x", rotation=90)
        axes.set_title(f"{self.trainer.unit} by class")
        axes.legend()

    def _draw_sizes(self, axes: Axes, _: Mapping[str, str]) -> None:
        axes.scatter(self._sizes_hw[:, 1], self._sizes_hw[:, 0], alpha=0.3)
        axes.set(xlabel="width, px", ylabel="height, px", title="sizes of images")

    def _draw_objects(self, axes: Axes, words: Mapping[str, str]) -> None:
        """On a logarithmic axis: objects span decades, and what a detector can see is a matter of ratios."""
        axes.set(xlabel="square root of the area, px of the image", ylabel="objects", title="sizes of objects")
        drawn = [(label, px[px > 0]) for label, px in (self._object_px or {}).items()]
        everything = np.concatenate([px for _, px in drawn])
        if not len(everything):
            return
        edges = np.geomspace(everything.min() * 0.99, everything.max() * 1.01, BINS + 1)
        colours = ["#{:02x}{:02x}{:02x}".format(*colour_of(i)) for i in range(len(drawn))]
        axes.hist(
            [px for _, px in drawn],
            edges.tolist(),
            stacked=True,
            color=colours,
            label=[words[name] for name, _ in drawn],
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(fontsize="small")

    def _draw_colours(self, axes: Axes, _: Mapping[str, str]) -> None:
        colours = self.colours
        for i in range(3):
            shades = (
                colours.mean[None]
                + np.linspace(-2, 2, 64)[:, None] * (colours.component_std * colours.directions)[:, i]
            )
            axes.imshow(shades.clip(0, 1)[None], extent=(-2, 2, 2.5 - i, 3.4 - i), aspect="auto")
        axes.set(xlim=(-2, 2), ylim=(0.4, 3.5), yticks=[2.95, 1.95, 0.95], xlabel="standard deviations from the mean")
        axes.set_yticklabels([f"{spread:.3f}" for spread in colours.component_std])
        axes.set_title("principal colours, by their spread")


def _range(sides: npt.NDArray[Any]) -> dict[str, int]:
    return {"smallest": round(sides.min()), "median": int(np.median(sides)), "largest": round(sides.max())}
