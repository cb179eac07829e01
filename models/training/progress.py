"""Progress inside an epoch (`EpochProgress`), as a callback of Lightning's."""

from typing import Any

from lightning.pytorch import Callback

from foveal.progress import Meter


class EpochProgress(Callback):
    """A meter an epoch: its training batches, then those of its validation."""

    def __init__(self) -> None:
        self._meter: Meter | None = None

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin with nothing done."""
        self._close()
        validation = sum(map(int, trainer.num_val_batches))
        what = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, batches"
        self._meter = Meter(what, int(trainer.num_training_batches) + validation).__enter__()

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """One more."""
        if self._meter is not None:
            self._meter.advance()

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        """One more."""
        self.on_train_batch_end()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """The epoch's line takes the meter's place."""
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave a clean terminal to the message."""
        self._close()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Likewise."""
        self._close()

    def _close(self) -> None:
        if self._meter is not None:
            self._meter.__exit__(None, None, None)
            self._meter = None
