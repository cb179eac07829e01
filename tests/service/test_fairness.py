"""Fairness: small requests do not wait for large ones, and a request costs no more than it weighs."""

import asyncio
import base64
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from foveal.imaging.preprocess import ImageTransform
from foveal.imaging.tiling import windows_over
from foveal.options import Options
from foveal.service.application import Application
from foveal.service.inference import served_model
from foveal.service.inference.batching import Batcher
from foveal.service.inference.memory import MemoryBudget
from foveal.service.inference.threads import Work, WorkThreads
from foveal.tasks import Prepared
from foveal.tasks.base import Part
from tests.helpers.applications import run
from tests.helpers.packages import encoded, png
from tests.helpers.playground_zoo import IMAGE, write_zoo

FLAT = encoded(Image.new("L", (1000, 1000)), "PNG")
NOISE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 500), dtype=np.uint8)), "PNG")


@pytest.fixture(scope="module")
def tasks_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stub model for each task."""
    return write_zoo(tmp_path_factory.mktemp("tasks"))


def prepared(value: int, parts: Sequence[Part] = ()) -> Prepared:
    transform = ImageTransform((1, 1), (1, 1), (1, 1), (1.0, 1.0))
    return Prepared(np.full((1, 1, 3), value, np.uint8), transform, 1, tuple(parts))


@pytest.mark.parametrize("size", [1, 2])
def test_another_image_has_its_turn_between_the_parts_of_one(size: int) -> None:
    batches: list[list[int]] = []
    went = threading.Event()

    def infer(batch: Sequence[Prepared], options: Sequence[Options]) -> list[dict[str, Any]]:
        went.wait(10)
        values = [int(item.model_input[0, 0, 0]) for item in batch]
        batches.append(values)
        return [{"out": np.array(value)} for value in values]

    async def whole() -> tuple[Any, Any]:
        batcher = Batcher(infer, lambda options: None, size, WorkThreads(1, 60))
        windows = windows_over((64, 64), 40)
        tiled = prepared(0, [Part(window, prepared(i)) for i, window in enumerate(windows)])
        both = [
            asyncio.create_task(batcher.run(item, Options(), Work("", MemoryBudget().lease())))
            for item in (tiled, prepared(9))
        ]
        await asyncio.sleep(0.05)
        went.set()
        return await both[0], await both[1]

    tiled, single = asyncio.run(whole())
    assert any(9 in batch for batch in batches[:2]), "not behind all parts"
    assert sorted(value for batch in batches for value in batch) == [0, 1, 2, 3, 9]
    assert tiled.outputs["out"].tolist() == [0, 1, 2, 3]
    assert int(single.outputs["out"]) == 9


def test_a_small_image_does_not_wait_for_large_ones(colour_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, decoding = threading.Event(), threading.Semaphore(0)
    real = served_model.decode

    def slow(data: bytes, **options: Any) -> Any:
        if len(data) == len(FLAT):
            decoding.release()
            go.wait(20)
        return real(data, **options)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        large = [asyncio.create_task(client.post("/v1/classify", content=FLAT)) for _ in range(4)]
        assert await asyncio.to_thread(decoding.acquire, timeout=10)
        small = await asyncio.wait_for(client.post("/v1/classify", content=png((255, 0, 0))), 5)
        assert small.status_code == 200
        assert not any(each.done() for each in large)
        go.set()
        assert {each.status_code for each in await asyncio.gather(*large)} == {200}

    monkeypatch.setattr(served_model, "decode", slow)
    monkeypatch.setattr(served_model, "LARGE_BYTES", 5_000_000)
    try:
        run(colour_zoo, check, image_threads=1)
    finally:
        go.set()


def several(image: bytes, count: int) -> dict[str, Any]:
    return {"images": [{"base64": base64.b64encode(image).decode()}] * count}


def test_many_large_images_in_few_bytes_are_refused(colour_zoo: Path) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/classify", json=several(FLAT, 12))
        assert answer.status_code == 200
        refused = [each["error"] for each in answer.json()["results"] if "error" in each]
        assert 4 <= len(refused) < 12
        assert {each["status"] for each in refused} == {413}
        assert "in all images of a request of this size" in refused[0]["detail"]
        assert (await client.post("/v1/classify", content=FLAT)).status_code == 200, "one alone is always read"
        photos = await client.post("/v1/classify", json=several(NOISE, 12))
        assert all("error" not in each for each in photos.json()["results"])
        assert application.memory.in_use == 0

    run(colour_zoo, check, max_pixels=1_000_000)


def test_masks_as_png_are_bounded(tasks_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(application: Application, client: httpx.AsyncClient) -> None:
        for mask_format, status in (("png", 400), ("rle", 200), ("polygon", 200)):
            query = f"mask_format={mask_format}&score_threshold=0"
            answer = await client.post(f"/v1/instances?{query}", content=IMAGE)
            assert answer.status_code == status, answer.text
        query = "mask_format=png&score_threshold=0"
        answer = await client.post(f"/v1/instances?{query}", content=IMAGE)
        assert "expected png for at most 1000 pixels of masks" in answer.json()["detail"]

    monkeypatch.setattr(served_model, "MAX_MASK_PIXELS", 1000)
    run(tasks_zoo, check)
