"""Verified model package that answers requests (`ServedModel`), with its input (`Upload`) and output (`Prediction`).

Decoding, preprocessing and rendering run in the service's image threads, the graph in the model's own thread (see
batching); the event loop only dispatches. While a model is idle, one image thread runs all stages.
"""

import asyncio
import math
import time
from dataclasses import dataclass

from pydantic import Field

from foveal.errors import BadRequest, FovealError
from foveal.formats import Entry, entry_bytes, to_json
from foveal.imaging import drawing, tiling
from foveal.imaging.decode import decode, read_header
from foveal.imaging.memory import decode_bytes_bound
from foveal.imaging.resize import PILLOW
from foveal.inference.pipeline import Predictor
from foveal.inference.session import Interrupt
from foveal.inference.verify import check_golden
from foveal.options import MAX_DETECTIONS, Options
from foveal.packages.manifest import Tensor
from foveal.packages.package import ModelPackage
from foveal.results import Result
from foveal.service.inference.batching import Batcher, Gate, GraphRun
from foveal.service.inference.threads import Work, WorkThreads
from foveal.service.observability.metrics import Metrics, ModelMetrics
from foveal.service.observability.stages import StageTimings
from foveal.service.settings import Settings
from foveal.tasks import Prepared
from foveal.tasks.detections import Detections
from foveal.tasks.schemas import Schema

JSON = "application/json"
MEDIA_TYPES = (JSON, "image/png", "image/jpeg")  # of a prediction: JSON, or the annotated image
LARGE_BYTES = 100_000_000  # of memory: work that takes more takes a tenth of a second and more
MAX_MASK_PIXELS = 1_000_000_000  # of masks as PNG in one image's answer: each has all pixels of the image
ANNOTATED = 1.5  # memory of drawing on an image and encoding it, in that of decoding it
ITEM_BYTES = {"uint8": 1, "bool": 1, "float16": 2, "float32": 4, "int32": 4}  # else 8


@dataclass(frozen=True)
class Upload:
    """One image of a request: file name and encoded bytes."""

    name: str | None
    data: bytes


@dataclass
class Prediction:
    """Outcome of one image: the encoded result or its error, and the time of each stage."""

    body: bytes  # JSON: the exact bytes of the entry under `results`; else the annotated image
    error: FovealError | None
    stages: StageTimings
    batch_size: int = 0


class ModelRef(Schema):
    """The model of a response."""

    name: str
    version: str
    task: str
    digest: str = Field(description="sha256 over the package's SHA256SUMS")


class ServedModel:
    """A package whose golden results were reproduced, with its session, queue and metrics."""

    def __init__(
        self,
        package: ModelPackage,
        settings: Settings,
        threads: WorkThreads,
        metrics: Metrics,
        stamp: object,
        interrupt: Interrupt,
    ) -> None:
        """Open the session and check the goldens. Blocks for seconds: not for the event loop's thread.

        `stamp` identifies the state of the package's files; whoever reloads the zoo compares it. `interrupt` ends the
        loading.

        Raises:
            BadPackage, GoldenMismatch, ProviderUnavailable.
        """
        self.predictor = Predictor(package, settings.session(), interrupt)
        check_golden(self.predictor)
        self.manifest, self.task = self.predictor.manifest, self.predictor.task
        self.package = package
        self.stamp = stamp
        self.reference = to_json(  # the `model` member of a response
            ModelRef(
                name=self.manifest.name,
                version=str(self.manifest.version),
                task=self.task.name,
                digest=package.digest,
            ).model_dump()
        )
        self.gate = Gate(settings.max_waiting_images, f"images of {package.ref}")
        own = 1 if self.predictor.provider == "cpu" else self.manifest.pipeline.max_batch
        size = min(settings.batch_size or own, self.manifest.pipeline.max_batch)
        self.batcher = Batcher(self.predictor.infer, self.task.batch_key, size, threads)
        self._metrics = ModelMetrics(metrics, self.manifest.name, str(self.manifest.version))
        self._threads = threads
        tensors = (*self.manifest.pipeline.inputs, *self.manifest.pipeline.outputs)
        self._graph_bytes = sum(map(_tensor_bytes, tensors))  # of one image
        self._in_flight = 0  # images inside `predict`
        self._max_pixels = settings.max_pixels

    def announce(self) -> None:
        """Set the metric of the execution provider."""
        self._metrics.provider(self.predictor.settings.provider, self.predictor.provider, served=True)

    def retire(self) -> None:
        """Clear the metric of the execution provider. Requests in flight finish; then the session is freed."""
        self._metrics.provider(self.predictor.settings.provider, self.predictor.provider, served=False)

    async def predict(self, upload: Upload, options: Options, media_type: str, work: Work) -> Prediction:
        """Predict for one image; an error of the image is returned, not raised. `options` are resolved ones."""
        self._in_flight += 1
        self._metrics.waiting.set(self._in_flight - 1)
        try:
            done = await self._predict(upload, options, media_type, work)
            work.lease.answer(len(done.body))
        finally:
            work.end()
            self._in_flight -= 1
            self._metrics.waiting.set(max(0, self._in_flight - 1))
        status = done.error.status if done.error else 200
        # recorded in the loop's next turn, after the response was sent
        asyncio.get_running_loop().call_soon(self._metrics.completed, status, done.stages.seconds, done.batch_size)
        return done

    async def _predict(self, upload: Upload, options: Options, media_type: str, work: Work) -> Prediction:
        stages, run = StageTimings(), self._threads.run
        try:
            done = await run(work, self._at_once, upload, options, media_type, work, stages)
            if isinstance(done, int):
                await work.wait_for(done)
                done = await run(work, self._at_once, upload, options, media_type, work, stages)
            assert not isinstance(done, int)
            if isinstance(done, Prediction):
                return done
            needed = work.reserved
            work.resize(
                (1 + len(done.parts)) * self._graph_bytes
            )  # its pixels are gone; those of the result come later
            ran = await self.batcher.run(done, options, work)
            await work.wait_for(needed)
            return await run(work, self._render, upload, ran, done, options, media_type, work, stages)
        except FovealError as error:
            return Prediction(entry_bytes(Entry(upload.name, error), self.task.name, options), error, stages)

    def _at_once(
        self, upload: Upload, options: Options, media_type: str, work: Work, stages: StageTimings
    ) -> Prepared | Prediction | int:
        """All stages if the session is free; else the prepared image, for the queue; or the memory to wait for.

        That is given back where it is not free, and where the work is large and belongs into other threads.
        """
        work.enter("decode")
        needed = self._bytes_needed(upload.data, options, media_type, work)
        if not work.large and (needed > LARGE_BYTES or options.tile):
            work.large = True
            return needed
        if not work.resize(needed):
            return needed
        prepared = self._prepare(upload.data, options, work, stages)
        work.enter("inference")
        run = self.batcher.run_at_once(prepared, options) if not prepared.parts else None
        return prepared if run is None else self._render(upload, run, prepared, options, media_type, work, stages)

    def _bytes_needed(self, data: bytes, options: Options, media_type: str, work: Work) -> int:
        """Memory of all stages at most. The result's pixels take no more than decoding did, which is over by then."""
        count = 1
        if options.tile or work.several:
            image_hw = read_header(data, max_pixels=self._max_pixels).image_hw
            count += len(tiling.windows_over(image_hw, options.tile)) if options.tile else 0
            work.take_pixels(math.prod(image_hw), self._max_pixels)
        decoding = decode_bytes_bound(data, max_pixels=self._max_pixels) * (1 if media_type == JSON else ANNOTATED)
        return int(decoding) + self._resize_bytes(data) + count * self._graph_bytes

    def _resize_bytes(self, data: bytes) -> int:
        """Of preprocessing beside decoding; 0 for a file without a readable header, which nothing resizes."""
        preprocess = self.predictor.spec.preprocess
        if preprocess.interpolation not in PILLOW:
            return 0
        try:
            return preprocess.working_bytes(read_header(data, max_pixels=self._max_pixels).image_hw)
        except FovealError:
            return 0

    def _prepare(self, data: bytes, options: Options, work: Work, stages: StageTimings) -> Prepared:
        started = time.perf_counter()
        target = self.predictor.decode_target(options)
        managed = self.predictor.spec.preprocess.colour_managed
        decoded = decode(data, target_hw=target, max_pixels=self._max_pixels, colour_managed=managed)
        decoded_at = time.perf_counter()
        work.enter("preprocess")
        prepared = self.predictor.prepare(decoded, options=options)
        stages.record("decode", started, decoded_at)
        stages.record("preprocess", decoded_at, time.perf_counter())
        return prepared

    def _render(
        self,
        upload: Upload,
        run: GraphRun,
        prepared: Prepared,
        options: Options,
        media_type: str,
        work: Work,
        stages: StageTimings,
    ) -> Prediction:
        work.enter("postprocess")
        stages.record("queue", run.queued_at, run.started_at)
        stages.record("inference", run.started_at, run.finished_at)
        started = time.perf_counter()
        result = self.predictor.finish(run.outputs, prepared, options)
        finished_at = time.perf_counter()
        work.enter("encode")
        self._metrics.observe_image(result.image_hw, result.top_score)
        if media_type == JSON:
            _expect_bounded(result, options)
            body = entry_bytes(Entry(upload.name, result, prepared.exif_orientation), self.task.name, options)
        else:  # painted on the whole image; the model's input may come from a reduced decode
            whole = decode(upload.data, max_pixels=self._max_pixels)
            work.enter("encode")
            drawn = result.overlay(whole.rgb)
            work.enter("encode")
            body = drawing.encode(drawn, media_type)
        stages.record("postprocess", started, finished_at)
        stages.record("encode", finished_at, time.perf_counter())
        return Prediction(body, None, stages, run.batch_size)


def _expect_bounded(result: Result, options: Options) -> None:
    """Raises BadRequest where each of many objects would get an image of its mask."""
    if options.mask_format != "png" or not isinstance(result, Detections):
        return
    if (pixels := len(result) * math.prod(result.image_hw)) > MAX_MASK_PIXELS:
        raise BadRequest(
            f"parameter 'mask_format': expected png for at most {MAX_MASK_PIXELS} pixels of masks, got {len(result)} "
            f"objects on {result.image_hw[1]} x {result.image_hw[0]} = {pixels}; rle and polygon have no such limit"
        )


def _tensor_bytes(tensor: Tensor) -> int:
    """Bytes of one image's rows in a graph's input or output; a dynamic dimension counts as the most objects."""
    sides = [side if isinstance(side, int) else MAX_DETECTIONS for side in tensor.shape[1:]]
    return ITEM_BYTES.get(tensor.dtype, 8) * math.prod(sides)
