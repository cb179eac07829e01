"""One budget in bytes for everything in flight: bodies, decoded pixels, answers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from foveal import memory as machine
from foveal.service.application import Application
from foveal.service.errors import MemoryBusy
from foveal.service.inference.memory import LEAST, SMALL_BODY, Kind, MemoryBudget
from tests.helpers.applications import run
from tests.helpers.packages import png

RED = png((255, 0, 0))
MB = 1_000_000


def test_what_is_taken_is_counted_and_given_back() -> None:
    budget = MemoryBudget(100)
    assert budget.take(60, Kind.WORK)
    assert not budget.take(41, Kind.WORK)
    assert budget.take(40, Kind.WORK)
    budget.give(100, Kind.WORK)
    assert budget.in_use == 0


def test_who_waits_is_served_in_order_and_work_before_bodies() -> None:
    order: list[str] = []

    async def whole() -> None:
        budget = MemoryBudget(100)
        assert budget.take(100, Kind.WORK)

        async def wait(name: str, count: int, kind: Kind) -> None:
            await budget.wait(count, kind)
            order.append(name)
            budget.give(count, kind)

        waits = [("body", 30, Kind.SMALL_BODIES), ("large work", 100, Kind.WORK), ("small work", 10, Kind.WORK)]
        tasks = []
        for each in waits:
            tasks.append(asyncio.create_task(wait(*each)))
            await asyncio.sleep(0)
        assert not budget.take(1, Kind.WORK), "nobody overtakes"
        budget.give(100, Kind.WORK)
        await asyncio.gather(*tasks)
        assert budget.in_use == 0

    asyncio.run(whole())
    assert order == ["large work", "small work", "body"]


def test_who_waits_in_vain_is_told_when_to_come_back_and_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveal.service.inference.memory.WAIT_S", 0.05)

    async def whole() -> None:
        budget = MemoryBudget(100)
        assert budget.take(60, Kind.WORK)
        large = asyncio.create_task(budget.wait(90, Kind.WORK))
        await asyncio.sleep(0.03)  # whoever comes later waits longer
        behind = asyncio.create_task(budget.wait(40, Kind.WORK))
        gone = asyncio.create_task(budget.wait(1, Kind.WORK))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(MemoryBusy) as raised:
            await large
        assert int(raised.value.headers["retry-after"]) >= 1
        await behind
        assert budget.in_use == 100
        budget.give(100, Kind.WORK)
        assert budget.in_use == 0

    asyncio.run(whole())


def test_large_bodies_leave_room_for_small_ones_and_both_for_work() -> None:
    async def whole() -> None:
        budget = MemoryBudget(100 * MB)
        large = budget.lease()
        assert await large.body(30 * MB)
        assert not budget.take(5 * MB, Kind.LARGE_BODIES)
        small = [budget.lease() for _ in range(34)]
        for lease in small:
            assert await lease.body(SMALL_BODY)
        assert await large.body(20 * MB), "counted already"
        assert budget.in_use == 64 * MB
        assert not budget.take(5 * MB, Kind.SMALL_BODIES)
        assert budget.take(36 * MB, Kind.WORK)
        assert not await budget.lease().body(34 * MB), "more than a body can ever get"
        for lease in (large, *small):
            lease.release()
        assert budget.in_use == 36 * MB

    asyncio.run(whole())


def test_the_limit_is_that_of_the_tightest_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    whole = machine.memory_limit()
    (tmp_path / "proc" / "self").mkdir(parents=True)
    of_v1, of_v2 = tmp_path / "cgroup" / "memory" / "pod" / "box", tmp_path / "cgroup" / "pod"
    for folder in (of_v1, of_v2):
        folder.mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("5:cpu:/\n4:memory:/pod/box\n0::/pod\n")
    assert machine.memory_limit() == whole
    (of_v1 / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (of_v1.parent / "memory.limit_in_bytes").write_text(f"{3 * MB}\n")
    assert machine.memory_limit() == 3 * MB
    (of_v2 / "memory.max").write_text("max\n")
    assert machine.memory_limit() == 3 * MB
    (of_v2.parent / "memory.max").write_text(f"{2 * MB}\n")
    assert machine.memory_limit() == 2 * MB


def test_a_derived_budget_leaves_out_what_the_process_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"self": 300 * MB}
    monkeypatch.setattr("foveal.service.inference.memory.memory_limit", lambda: 2000 * MB)
    monkeypatch.setattr(
        "foveal.service.inference.memory.resident_bytes", lambda pid="self": taken.get(str(pid), 100 * MB)
    )
    budget = MemoryBudget(workers=2)
    assert budget.limit == (1600 - 100) // 2 * MB - 300 * MB
    taken["self"] = 10**12
    budget.measure()
    assert budget.limit == LEAST
    given = MemoryBudget(5 * MB, workers=2)
    given.measure()
    assert given.limit == 5 * MB


# --- in the service ---


def test_uploads_wait_for_memory_and_are_refused_unread(colour_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveal.service.inference.memory.WAIT_S", 0.2)
    most, read = 0, 0

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        async def slow_body() -> AsyncIterator[bytes]:
            nonlocal most, read
            for _ in range(20):
                await asyncio.sleep(0.02)
                most = max(most, application.memory.in_use)
                read += 500_000
                yield bytes(500_000)

        headers = {"content-length": "10000000"}
        answers = await asyncio.gather(
            *(client.post("/v1/classify", content=slow_body(), headers=headers) for _ in range(12)),
            client.post("/v1/classify", content=RED),
        )
        statuses = [answer.status_code for answer in answers]
        assert set(statuses[:-1]) == {415, 503}, "no image, or no memory"
        assert statuses[-1] == 200, "a small one is not shut out"
        (refused, *_) = [answer for answer in answers if answer.status_code == 503]
        assert refused.json()["title"] == "Memory in use"
        assert int(refused.headers["retry-after"]) >= 1
        assert most <= 40 * MB
        assert application.memory.in_use == 0
        larger = await client.post("/v1/classify", content=bytes(14_000_000))
        assert larger.status_code == 413
        metrics = (await client.get("/metrics")).text
        assert "foveal_memory_limit_bytes 4e+07" in metrics
        assert "foveal_memory_in_use_bytes 0.0" in metrics
        assert 'foveal_rejections_total{fault="MemoryBusy"}' in metrics

    run(colour_zoo, check, memory_budget_mb=40)


def test_an_image_that_can_never_fit_is_refused_before_it_is_decoded(
    colour_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("decoded")

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("foveal.service.inference.served_model.decode", never)
            answer = await client.post("/v1/classify", content=png((1, 2, 3), (3000, 3000)))
        assert answer.status_code == 413
        assert "bytes of memory" in answer.json()["detail"]
        assert (await client.post("/v1/classify", content=png((1, 2, 3), (300, 300)))).status_code == 200
        assert application.memory.in_use == 0

    run(colour_zoo, check, memory_budget_mb=40)


def test_images_wait_for_each_other_when_they_do_not_fit_together(colour_zoo: Path) -> None:
    most = 0

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, application.memory.in_use)
                await asyncio.sleep(0.001)

        watching = asyncio.create_task(watch())
        image = png((1, 2, 3), (1000, 1000))
        answers = await asyncio.gather(*(client.post("/v1/classify", content=image) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        watching.cancel()

    run(colour_zoo, check, memory_budget_mb=130, image_threads=4)  # of two images at a time
    assert most <= 130 * MB + 20_000
