"""Prediction pipeline (`Pipeline`), and one around a package (`Predictor`).

A batch of n gives what n single calls give. A `Pipeline` is the same walk around any session: export scores a trained
checkpoint and a graph that is not yet a package with it, so that what is compared differs in the network alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Unpack, overload

from foveal.cancellation import checkpoint
from foveal.errors import BadRequest
from foveal.imaging import tiling
from foveal.imaging.decode import MAX_PIXELS, Decoded
from foveal.imaging.sources import ImageSource, load
from foveal.imaging.tiling import Window
from foveal.inference.session import Interrupt, Session, SessionSettings, open_session, run_graph
from foveal.options import OPTIONS, Options, OptionValues, expect_known
from foveal.packages.manifest import Manifest, PipelineSpec
from foveal.packages.package import ModelPackage
from foveal.results import Result
from foveal.tasks import Prepared, task_of
from foveal.tasks.base import Outputs, Part, joined_rows, split_rows

DecodeTarget = Callable[[tuple[int, int]], tuple[int, int] | None]  # (height, width) of an image -> at least


class Pipeline:
    """Runs one network: image -> model input -> outputs -> result.

    The three stages are public, because the service runs them in different threads: `prepare` and `finish` are pure
    and thread-safe, `infer` is the only one that touches the session.
    """

    def __init__(self, spec: PipelineSpec, session: Session, provider: str) -> None:
        """A pipeline around a session.

        Args:
            spec: what the pipeline must know about the model.
            session: the network.
            provider: short name of what the session really runs on.

        Raises:
            UnknownName: no task of the spec's name.
        """
        self.spec = spec
        self.task = task_of(spec.task)
        self.session = session
        self.provider = provider
        self._output_names = [output.name for output in session.get_outputs()]

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a class might be a path and a sequence
        self, image: ImageSource, *, options: Options | None = None, **values: Unpack[OptionValues]
    ) -> Result: ...
    @overload
    def __call__(
        self, image: Sequence[ImageSource], *, options: Options | None = None, **values: Unpack[OptionValues]
    ) -> list[Result]: ...
    def __call__(
        self,
        image: ImageSource | Sequence[ImageSource],
        *,
        options: Options | None = None,
        **values: Unpack[OptionValues],
    ) -> Result | list[Result]:
        """Predict for one image, or for a list or tuple of them.

        Args:
            image: encoded bytes, a path, a file object opened for reading bytes, a Pillow image of any mode (its EXIF
                orientation is applied), an array (H, W, 3) uint8 RGB (OpenCV's are BGR: `array[..., ::-1]`); or
                several, as a list or tuple. A file, bytes or Pillow image gives the same result to the bit; only a JPEG
                that is much larger than the model input is decoded at a reduced size from bytes or a path.
            options: as an object, for example to use them again.
            values: options by name, which win over `options`: `model(image, score_threshold=0.6)`. `Options` has them
                all; `mask_format` is for writers of entries, `to_dict` has its own.

        Returns:
            The result (`Classification`, `Detections` or `SemanticMap`, by the model's task); for a list one for each
            image, in order, equal to single calls' to the bit. An empty list gives an empty list.

        Raises:
            BadImage: it cannot be decoded; the message says why. BadRequest: an option that is unknown, out of range or
                not one of the task's, or a class that the model does not have; the choices are listed.

        Example:
            >>> import foveal
            >>> model = foveal.load("blood-cells")
            >>> found = model("examples/blood-cells.png", score_threshold=0.6, classes=["WBC", "Platelets"])
            >>> [cell.label for cell in found]
            ['WBC', 'WBC', 'Platelets']
            >>> len(model(["examples/blood-cells.png", "examples/nuclei.png"]))
            2
        """
        chosen = self._merged(options, values)
        if isinstance(image, list | tuple):
            return self.batch(image, options=chosen)
        return self.batch([image], options=chosen)[0]  # type: ignore[list-item]  # to mypy, str is a list of str

    def options(self, options: Options | None = None) -> Options:
        """Options that suit the model, with its defaults filled in.

        Args:
            options: what the caller chose; None: nothing.

        Raises:
            BadRequest: an option that the task does not have, or a class that the model does not have.

        Example:
            >>> import foveal
            >>> foveal.load("shapes").options(foveal.Options(top_k=2))
            Options(top_k=2)
        """
        chosen = self._merged(options, {})
        chosen.checked(applicable=self.task.option_names, labels=self.spec.labels)
        return chosen.resolved(self.spec.defaults)

    def batch(self, images: Iterable[ImageSource], *, options: Options | None = None) -> list[Result]:
        """Predict for several images, in order.

        On CPU the session takes them one by one: a larger batch gains no throughput there (measured), and so every
        result is bit-equal to a single call's.
        """
        chosen = self.options(options)
        prepared = (self.prepare(image, options=chosen) for image in images)  # no more than a run's are in memory
        results: list[Result] = []
        while part := list(islice(prepared, self._run_size)):
            raws = self.infer(part, [chosen] * len(part))
            results += [self.finish(raw, item, chosen) for raw, item in zip(raws, part, strict=True)]
        return results

    def decode_target(self, options: Options | None = None) -> DecodeTarget | None:
        """What decoding must deliver: enough for the model input, or everything when windows are cut."""
        return None if options is not None and options.tile else self.spec.preprocess.decode_target

    def prepare(self, image: ImageSource, *, options: Options | None = None, max_pixels: int = MAX_PIXELS) -> Prepared:
        """Decode and preprocess one image; of the options only `tile` matters here.

        Raises:
            BadImage: it cannot be decoded. BadRequest: `tile` is too small for this image.
        """
        decoded = load(
            image,
            target_hw=self.decode_target(options),
            max_pixels=max_pixels,
            colour_managed=self.spec.preprocess.colour_managed,
        )
        model_input, transform = self.spec.preprocess.apply(decoded)
        parts: tuple[Part, ...] = ()
        if options is not None and options.tile and max(transform.image_hw) > options.tile:
            parts = tuple(self._parts(decoded, tiling.windows_over(transform.image_hw, options.tile)))
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
            return self.task.decode(outputs, prepared.transform, self.spec, options)
        return self.task.join(self._part_results(outputs, prepared, options), prepared.transform.image_hw)

    def _merged(self, options: Options | None, values: OptionValues) -> Options:
        """Options by name, over those of an object."""
        if not isinstance(options, Options | None):
            raise BadRequest(f"options: expected foveal.Options, got {type(options).__name__}")
        named = {name for name, value in values.items() if value is not None or name not in OPTIONS}
        expect_known(named, self.task.option_names)  # before Options: the message lists those of the task
        if not values:
            return options or Options()
        return Options(**{**(options.given() if options is not None else {}), **values})

    @property
    def _run_size(self) -> int:
        return 1 if self.provider == "cpu" else self.spec.max_batch

    def _parts(self, decoded: Decoded, windows: Iterable[Window]) -> Iterator[Part]:
        for window in windows:
            checkpoint()
            yield Part(window, self.prepare(window.cut(decoded)))

    def _run(self, batch: Sequence[Prepared], options: Sequence[Options]) -> list[Outputs]:
        feeds: dict[str, Any] = self.task.feeds(batch, options, self.spec)
        outputs = run_graph(self.session, self._output_names, feeds)
        return self.task.split(dict(zip(self._output_names, outputs, strict=True)), len(batch))

    def _run_parts(self, item: Prepared, options: Options) -> Outputs:
        rows: list[Outputs] = []
        for start in range(0, len(item.parts), self._run_size):
            checkpoint()
            chunk = [part.prepared for part in item.parts[start : start + self._run_size]]
            rows += self._run(chunk, [options] * len(chunk))
        return joined_rows(rows)

    def _part_results(self, outputs: Outputs, prepared: Prepared, options: Options) -> Iterator[tuple[Window, Result]]:
        for row, part in zip(split_rows(outputs, len(prepared.parts)), prepared.parts, strict=True):
            checkpoint()
            yield part.window, self.task.decode(row, part.prepared.transform, self.spec, options)


class Predictor(Pipeline):
    """A model, ready to predict: what `foveal.load` returns. Call it with an image.

    It holds no state between calls: options are an argument of each.

    Attributes:
        labels: class id -> label.
        provider: what it really runs on: cpu, cuda, tensorrt or openvino.
        manifest: everything that is known about the package: task, metrics, data, licences.

    Example:
        >>> import foveal
        >>> model = foveal.load("blood-cells")
        >>> model
        <foveal model blood-cells@1: object-detection, 3 labels, on cpu>
        >>> model.labels, model.manifest.licences.weights != ""
        (('Platelets', 'RBC', 'WBC'), True)
        >>> model.options()  # what a call without options uses
        Options(score_threshold=0.3391, iou_threshold=0.5, max_detections=300)
    """

    def __init__(
        self, package: ModelPackage, settings: SessionSettings | None = None, interrupt: Interrupt | None = None
    ) -> None:
        self.package = package
        self.settings = settings or SessionSettings()
        super().__init__(package.manifest.pipeline, *_session_of(package, self.settings, interrupt))

    @property
    def manifest(self) -> Manifest:
        """Everything that is known about the package."""
        return self.package.manifest

    @property
    def labels(self) -> tuple[str, ...]:
        """Class id -> label."""
        return self.spec.labels

    def __repr__(self) -> str:
        return f"<foveal model {self.package.ref}: {self.spec.task}, {len(self.labels)} labels, on {self.provider}>"


def _session_of(package: ModelPackage, settings: SessionSettings, interrupt: Interrupt | None) -> tuple[Session, str]:
    graph = package.take_graph()  # held until the session has its copy, and no longer
    return open_session(graph.model, settings, weights=graph.weights, interrupt=interrupt)
