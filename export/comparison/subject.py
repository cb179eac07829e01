"""What is evaluated (`subject_of`): a run's network or a package's graph, behind the same pipeline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foveal import load
from foveal.inference.pipeline import Pipeline


@dataclass(frozen=True)
class Subject:
    """A model, and what is known of its training."""

    name: str
    pipeline: Pipeline
    recipe: dict[str, Any]
    fingerprint: str | None  # of the data that it was trained with; None: not known

    def warnings(self, fingerprint: str, data: str, split: str) -> list[str]:
        """Why figures on a split of a data set may flatter this model, in words."""
        if self.fingerprint is None:
            return ["the package was imported: nobody knows whether its model learnt from these images"]
        found = []
        if fingerprint != self.fingerprint:
            found.append(
                f"{data} is not, to the byte, what the model was trained with: {split!r} may hold images it learnt from"
            )
        if split == "val" and self.recipe.get("train_on_val"):
            found.append("val was learnt too (train_on_val): its figures say nothing about new images")
        return found


def subject_of(model: str, zoo: Path | None, provider: str) -> Subject:
    """A package by name or folder, or a run by its folder (needs torch)."""
    if not (Path(model) / "run.json").is_file():
        predictor = load(model, zoo=zoo, provider=provider)
        data = predictor.manifest.data
        return Subject(model, predictor, predictor.manifest.recipe, data.fingerprint if data else None)
    from foveal.export.build import pipeline_spec
    from foveal.export.tasks import exporter_of
    from foveal.models.runs import load_run

    checkpoint = load_run(Path(model))
    reference = exporter_of(checkpoint.task).reference(checkpoint)
    recipe = checkpoint.recipe.model_dump(mode="json")
    pipeline = Pipeline(pipeline_spec(checkpoint), reference, "torch")
    return Subject(model, pipeline, recipe, checkpoint.data.fingerprint)
