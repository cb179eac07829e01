"""Predictor: a package and a session; images in, results out. A batch of n gives what n single calls give.

`Pipeline` is the same walk around any session: export scores a trained checkpoint and a graph that is not yet a package
with it, so that what is compared differs in the network and in nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from foveal.errors import BadImage, UnknownName
from foveal.imaging import tiling
from foveal.imaging.decode import MAX_PIXELS, Decoded, decode
from foveal.inference.session import Session, SessionSettings, open_session
from foveal.options import Options
from foveal.packages.manifest import Manifest
from foveal.packages.package import ModelPackage
from foveal.results import Result, SemanticMap
from foveal.tasks import TASKS, Prepared
from foveal.tasks.base import Outputs, Part, split_rows

ImageSource = bytes | Path | str | npt.NDArray[np.uint8] | Decoded
DecodeTarget = Callable[[tuple[int, int]], tuple[int, int] | None]  # (height, width) of an image -> at least


class Pipeline:
    """Runs one network: image -> model input -> outputs -> result.

    The three stages are public, because the service runs them in different threads: `prepare` and `finish` are pure
    and thread-safe, `infer` is the only one that touches the session.
    """

    def __init__(self, manifest: Manifest, session: Session, provider: str) -> None:
        if manifest.task not in TASKS:
            raise UnknownName.among("task", manifest.task, TASKS)
        self.manifest = manifest
        self.task = TASKS[manifest.task]
        self.session = session
        self.provider = provider  # short name of what the session really runs on
        self._output_names = [output.name for output in session.get_outputs()]

    def __call__(self, image: ImageSource, *, options: Options | None = None) -> Result:
        """Predict for one image: encoded bytes, a path, or pixels (H, W, 3) uint8 RGB.

        Raises:
            BadImage: it cannot be decoded; the message says why.
        """
        return self.batch([image], options=options)[0]

    def batch(self, images: Iterable[ImageSource], *, options: Options | None = None) -> list[Result]:
        """Predict for several images, in order.

        On CPU the session takes them one by one: a larger batch gains no throughput there (measured), and so every
        result is bit-equal to a single call's.
        """
        chosen = (options or Options()).resolved(self.manifest)
        size = self._run_size
        prepared = [self.prepare(image, options=chosen) for image in images]
        results: list[Result] = []
        for start in range(0, len(prepared), size):
            part = prepared[start : start + size]
            raws = self.infer(part, [chosen] * len(part))
            results += [self.finish(raw, item, chosen) for raw, item in zip(raws, part, strict=True)]
        return results

    def decode_target(self, options: Options | None = None) -> DecodeTarget | None:
        """What `image.decode` must deliver: enough for the model input, or everything when windows are cut."""
        return None if options is not None and options.tile else self.manifest.preprocess.decode_target

    def prepare(self, image: ImageSource, *, options: Options | None = None, max_pixels: int = MAX_PIXELS) -> Prepared:
        """Decode and preprocess one image; of the options only `tile` matters here.

        Raises:
            BadImage: it cannot be decoded. BadRequest: `tile` is too small for this image.
        """
        decoded = self._decoded(image, self.decode_target(options), max_pixels)
        model_input, transform = self.manifest.preprocess.apply(decoded)
        parts: tuple[Part, ...] = ()
        if options is not None and options.tile and max(transform.image_hw) > options.tile:
            windows = tiling.windows_over(transform.image_hw, options.tile)
            parts = tuple(Part(window, self.prepare(window.cut(decoded))) for window in windows)
        return Prepared(model_input, transform, decoded.exif_orientation, parts)

    def infer(self, batch: Sequence[Prepared], options: Sequence[Options]) -> list[Outputs]:
        """Run the graph on 1..max_batch images whose options share a batch key; one mapping of outputs an image.

        The outputs of an image in parts have the parts as their first axis.
        """
        if not any(item.parts for item in batch):
            return self._run(batch, options)
        pairs = zip(batch, options, strict=True)
        return [self._run_parts(item, own) if item.parts else self._run([item], [own])[0] for item, own in pairs]

    def finish(self, outputs: Outputs, prepared: Prepared, options: Options) -> Result:
        """Decode one image's raw outputs to a result in its original pixels; `options` are resolved ones."""
        if not prepared.parts:
            return self.task.decode(outputs, prepared.transform, self.manifest, options)
        windows = [part.window for part in prepared.parts]
        return tiling.join(self._part_maps(outputs, prepared, options), windows, prepared.transform.image_hw)

    @property
    def _run_size(self) -> int:
        return 1 if self.provider == "cpu" else self.manifest.max_batch

    def _run(self, batch: Sequence[Prepared], options: Sequence[Options]) -> list[Outputs]:
        feeds: dict[str, Any] = self.task.feeds(batch, options, self.manifest)
        outputs = self.session.run(self._output_names, feeds)
        return self.task.split(dict(zip(self._output_names, outputs, strict=True)), len(batch))

    def _run_parts(self, item: Prepared, options: Options) -> Outputs:
        rows: list[Outputs] = []
        for start in range(0, len(item.parts), self._run_size):
            chunk = [part.prepared for part in item.parts[start : start + self._run_size]]
            rows += self._run(chunk, [options] * len(chunk))
        return {name: np.stack([row[name] for row in rows]) for name in self._output_names}

    def _part_maps(self, outputs: Outputs, prepared: Prepared, options: Options) -> Iterator[SemanticMap]:
        for row, part in zip(split_rows(outputs, len(prepared.parts)), prepared.parts, strict=True):
            result = self.task.decode(row, part.prepared.transform, self.manifest, options)
            assert isinstance(result, SemanticMap), "only class maps have the option `tile`"
            yield result

    def _decoded(self, image: ImageSource, target: DecodeTarget | None, max_pixels: int) -> Decoded:
        if isinstance(image, Decoded):
            return image
        if isinstance(image, np.ndarray):
            return Decoded.of_array(image)
        if isinstance(image, str | Path):
            try:
                data = Path(image).read_bytes()
            except OSError as error:
                raise BadImage(f"{image!s}: expected a readable file: {error.strerror}") from None
        else:
            data = image
        return decode(data, target_hw=target, max_pixels=max_pixels)


class Predictor(Pipeline):
    """Runs one package."""

    def __init__(self, package: ModelPackage, settings: SessionSettings | None = None) -> None:
        self.package = package
        self.settings = settings or SessionSettings()
        super().__init__(package.manifest, *open_session(package.model, self.settings))
