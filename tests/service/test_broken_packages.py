"""One bad package stops no other: in process, over ASGI; and each kind of fault is named."""

import asyncio
import logging
import os
import time
from pathlib import Path

import httpx
import pytest

from foveal.service.application import Application
from foveal.service.settings import Settings
from tests.helpers.applications import not_ready, run
from tests.helpers.broken_packages import BREAKS, ENDLESS
from tests.helpers.packages import png, reseal, write_colours

RED = png((255, 0, 0))
TOGETHER = (  # nine of ten bad packages of one zoo; the tenth never ends
    "card-not-utf8", "no-default-tolerance", "wide-tolerance", "deep-manifest", "fifo", "folder-as-file", "link",
    "no-graph", "hungry-graph",
)  # fmt: skip


def write_broken(zoo: Path, name: str) -> None:
    BREAKS[name][0](write_colours(zoo, name))


def test_every_fault_is_named_and_ends_the_load(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in BREAKS:
        write_broken(tmp_path, name)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        failed = application.models.snapshot.failed
        assert failed.keys() == {f"{name}@1" for name in BREAKS}
        for name, (_, words) in BREAKS.items():
            assert words in failed[f"{name}@1"], name
            assert str(tmp_path) not in failed[f"{name}@1"].replace(f"{tmp_path}/.", ""), "no path of the machine"
            lines = [r for r in caplog.records if f"not serving {name}@1:" in r.getMessage()]
            assert len(lines) == 1, "once"
        assert not application.models.snapshot.served

    with caplog.at_level(logging.ERROR, "foveal.service"):
        run(tmp_path, check)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Ten good packages, nine broken ones and an endless one, which comes first."""
    for number in range(10):
        write_colours(tmp_path, f"good-{number}")
    for name in TOGETHER:
        write_broken(tmp_path, name)
    ENDLESS(write_colours(tmp_path, "aaa-endless"))
    return tmp_path


def test_the_good_ones_of_a_zoo_are_served_in_their_own_time(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveal.service.inference.loading.PATIENCE_S", 0.2)

    async def whole() -> None:
        application = Application(Settings(zoo=mixed, load_s=4, reload_s=0.05))
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with (
            application.lifespan(),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
            asyncio.timeout(30),
        ):
            started = time.monotonic()
            while len(application.models.snapshot.served) < 10:
                await asyncio.sleep(0.01)
            assert time.monotonic() - started < 3.5, "before the endless one was given up"
            assert not application.models.loaded
            for number in range(10):
                answer = await client.post(f"/v1/classify?model=good-{number}", content=RED)
                assert answer.status_code == 200
            while "aaa-endless@1: still being checked" not in not_ready(application):
                await asyncio.sleep(0.01)
            while not application.models.loaded:
                await asyncio.sleep(0.01)
            assert "aaa-endless@1: expected it to be loaded and checked within 4 s" in not_ready(application)
            await _adding_changes_nothing(application, client, mixed)

    asyncio.run(whole())


async def _adding_changes_nothing(application: Application, client: httpx.AsyncClient, zoo: Path) -> None:
    """Neither a broken package nor an endless one; a good one that comes with them is served."""
    before = dict(application.models.snapshot.served)
    write_broken(zoo, "socket")
    ENDLESS(write_colours(zoo, "endless-too"))
    write_colours(zoo, "good-late")
    while (
        "good-late@1" not in application.models.snapshot.served or "socket@1" not in application.models.snapshot.failed
    ):
        assert (await client.post("/v1/classify", content=RED)).json()["model"]["name"] == "good-0"
    assert all(application.models.snapshot.served[ref] is served for ref, served in before.items())


def test_a_golden_may_not_need_more_than_the_machine_has_nor_a_link_out_of_the_zoo(tmp_path: Path) -> None:
    write_colours(tmp_path / "elsewhere", "linked")
    zoo = tmp_path / "zoo"
    write_colours(zoo, "good")
    (zoo / "linked").symlink_to(tmp_path / "elsewhere" / "linked")
    (zoo / "circle").mkdir()
    (zoo / "circle" / "1").symlink_to(zoo / "circle" / "1")
    (zoo / "good" / "²").mkdir()
    (zoo / "a-file").write_text("")

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        reason = not_ready(application)
        assert "linked/1: expected a folder inside the zoo, got a link" in reason
        assert "good/²: expected a version of ASCII digits" in reason
        assert (await client.post("/v1/classify", content=RED)).json()["model"]["name"] == "good"

    run(zoo, check)


def test_external_data_of_another_folder_is_not_read(tmp_path: Path) -> None:
    import onnx

    from tests.helpers.packages import wide_colour_graph, with_external_data

    package = write_colours(tmp_path, "outside")
    model, weights = with_external_data(wide_colour_graph((8, 8)), "shares", location="../../weights")
    (tmp_path / "weights").write_bytes(weights)
    assert onnx.load_from_string(model).graph.initializer
    (package / "model.onnx").write_bytes(model)
    reseal(package)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        assert "outside@1" in not_ready(application)

    run(tmp_path, check)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (write_colours(tmp_path) / "CARD.md").chmod(0)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        assert "CARD.md: expected a readable file: Permission denied" in not_ready(application)

    run(tmp_path, check)


def test_the_watcher_survives_whatever_a_scan_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_colours(tmp_path, version=1)

    async def check(application: Application, client: httpx.AsyncClient) -> None:
        def failing(root: Path) -> None:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr("foveal.service.inference.loaded_models.scan", failing)
            await asyncio.sleep(0.1)
        write_colours(tmp_path, version=2)
        async with asyncio.timeout(20):
            while "colours@2" not in application.models.snapshot.served:
                await asyncio.sleep(0.01)

    run(tmp_path, check, reload_s=0.02)
