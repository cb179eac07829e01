"""A toy fifth task, `measurement`: one number for each image. One module a stage, as a real task has."""


def register(*, training: bool) -> None:
    """The lines that a real task adds to the registries; call it before the service is imported.

    Args:
        training: those of models and export too, which import torch.
    """
    from foveal.metrics import SCORING, Scoring
    from foveal.options import Options
    from foveal.tasks import TASKS
    from tests.helpers.toy import core

    TASKS[core.NAME] = core.MeasurementTask()
    SCORING[core.NAME] = Scoring("tests.helpers.toy.core:score", "tests.helpers.toy.core:resampled", Options())
    if training:
        from foveal.export.tasks import EXPORTERS
        from foveal.models.readers import READERS
        from foveal.models.tasks import TRAINERS
        from tests.helpers.toy import export, models

        READERS[core.NAME] = models.READER
        TRAINERS[core.NAME] = models.MeasurementTrainer()
        EXPORTERS[core.NAME] = export.MeasurementExporter()
