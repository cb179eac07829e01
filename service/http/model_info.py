"""Model descriptions for /v1/models: manifest, defaults, actual execution provider, card and golden images."""

from urllib.parse import quote

from foveal.errors import UnknownName
from foveal.service.errors import without_folders
from foveal.service.http.schemas import FailedModel, ModelInfo, ModelList, Provider
from foveal.service.inference.loaded_models import LoadedModels, newest
from foveal.service.inference.served_model import ServedModel

CARD_TYPE = "text/markdown; charset=utf-8"


def listing(models: LoadedModels) -> ModelList:
    """Every model, served or failed."""
    snapshot = models.snapshot
    return ModelList(
        models=[_info(models, served) for served in snapshot.served.values()],
        failed=[FailedModel(model=ref, reason=without_folders(reason)) for ref, reason in snapshot.failed.items()],
    )


def describe(models: LoadedModels, wanted: str) -> ModelInfo:
    """One model by `name` or `name@version`.

    Raises:
        UnknownName: it is not served.
    """
    return _info(models, _find(models, wanted))


def card(models: LoadedModels, wanted: str) -> str:
    """The package's CARD.md. Raises as `describe`."""
    return _find(models, wanted).package.card


def golden_image(models: LoadedModels, wanted: str, image: str) -> bytes:
    """A golden image as PNG. Raises as `describe`; UnknownName also for the image."""
    images = {f"{golden.name}.png": golden.image for golden in _find(models, wanted).package.golden}
    if image not in images:
        raise UnknownName.among("golden image", image[:80], images)
    return images[image]


def _find(models: LoadedModels, wanted: str) -> ServedModel:
    served = newest(models.snapshot.served.values(), wanted)
    if served is None:
        raise UnknownName.among("model", wanted[:80], models.snapshot.served)
    return served


def _info(models: LoadedModels, served: ServedModel) -> ModelInfo:
    manifest, predictor = served.manifest, served.predictor
    return ModelInfo(
        name=manifest.name,
        version=str(manifest.version),
        task=manifest.task,
        endpoint=f"/v1/{served.task.endpoint}",
        default=models.is_default(served),
        digest=served.package.digest,
        architecture=manifest.architecture,
        labels=list(manifest.labels),
        input=manifest.preprocess.model_dump(mode="json"),
        defaults={
            name: getattr(manifest.pipeline.defaults, name, None)
            for name in sorted(served.task.option_names)
        },
        metrics=manifest.metrics and manifest.metrics.model_dump(mode="json"),
        parity=manifest.parity.model_dump(mode="json"),
        imported=manifest.imported and manifest.imported.model_dump(mode="json"),
        licences=manifest.licences.model_dump(),
        examples=[f"/v1/models/{served.package.ref}/golden/{quote(name)}.png" for name in manifest.examples],
        provider=Provider(requested=predictor.settings.provider, actual=predictor.provider),
    )  # fmt: skip
