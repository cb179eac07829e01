"""Every backbone of the registry trains, exports with parity and serves: one test over all, tiny model inputs."""

import asyncio
from pathlib import Path

import httpx
import pytest

from foveal.inference.pipeline import Predictor
from foveal.models.backbones import BACKBONES
from foveal.models.classification.recipe import ClassificationRecipe
from foveal.models.runs import train
from foveal.packages.package import ModelPackage
from foveal.service.application import Application
from foveal.service.settings import Settings
from tests.helpers import runs
from tests.helpers.commandline import foveal
from tests.helpers.images import draw_folders

IN_CI: tuple[str, ...] = ()  # minutes together: `make test-slow`


DEEP = ("efficientnet_v2_m", "efficientnet_v2_s")  # random weights at few px are chaos: float32 and float64 differ, too


def input_px(name: str) -> int:
    return max(224 if name in DEEP else 32, 32 * -(-BACKBONES[name].smallest_px // 32))


def served(zoo: Path, image: Path) -> dict:
    """The answer of the service, over HTTP, in this process."""

    async def ask() -> dict:
        application = Application(Settings(zoo=zoo))
        async with application.lifespan():
            while not application.models.loaded:
                await asyncio.sleep(0.01)
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                answer = await client.post("/v1/classify", content=image.read_bytes())
                assert answer.status_code == 200, answer.text
                return answer.json()["results"][0]

    return asyncio.run(asyncio.wait_for(ask(), 120))


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in IN_CI else pytest.mark.slow) for n in BACKBONES])
def test_trains_exports_and_serves(name: str, tmp_path: Path) -> None:
    side = input_px(name)
    lines = [f"backbone={name}", "weights=none", f"input_hw=[{side}, {side}]", "epochs=2", "batch_size=6"]
    splits = ["frozen_epochs=0", "val_fraction=0.25", "test_fraction=0.1"]
    recipe = ClassificationRecipe.load(None, [*lines, *splits])
    train(recipe, draw_folders(tmp_path / "discs", per_class=8), tmp_path / "run")  # a lost loss would raise

    run = runs.classifier_run(tmp_path / "random", name, model_input=side)
    out = tmp_path / "zoo" / "colours" / "1"
    code, _, talk = foveal("export", run.path, "--out", out, "--max-batch", 3)
    assert code == 0, talk
    assert foveal("verify", out)[0] == 0

    image = run.data.splits.test[0].path
    expected = Predictor(ModelPackage.open(out))(image)
    answer = served(tmp_path / "zoo", image)["classes"]
    assert [entry["class_id"] for entry in answer] == expected.class_ids.tolist()
    assert [entry["score"] for entry in answer] == pytest.approx(expected.scores.tolist(), abs=1e-6)
