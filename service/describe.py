"""What /v1/models says about a served model: its own words, from the manifest, and where it really runs."""

from foveal.errors import UnknownName
from foveal.service.models import Models, newest
from foveal.service.schemas import FailedModel, ModelInfo, ModelList, Provider
from foveal.service.serving import Served


def listing(models: Models) -> ModelList:
    """Every model, served or failed."""
    snapshot = models.snapshot
    return ModelList(
        models=[_info(models, served) for served in snapshot.served.values()],
        failed=[FailedModel(model=ref, reason=reason) for ref, reason in snapshot.failed.items()],
    )


def describe(models: Models, wanted: str) -> ModelInfo:
    """One model by `name` or `name@version`.

    Raises:
        UnknownName: it is not served.
    """
    served = newest(models.snapshot.served.values(), wanted)
    if served is None:
        raise UnknownName.among("model", wanted, models.snapshot.served)
    return _info(models, served)


def _info(models: Models, served: Served) -> ModelInfo:
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
            name: getattr(manifest.postprocess, name, None)
            for name in sorted(served.task.option_names)
        },
        metrics=manifest.metrics.model_dump(mode="json"),
        parity=manifest.parity.model_dump(mode="json"),
        licences=manifest.licences.model_dump(),
        provider=Provider(requested=predictor.settings.provider, actual=predictor.provider),
    )  # fmt: skip
