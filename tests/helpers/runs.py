"""Checkpoints that nobody trained, for tests of what comes after training: random networks over drawn images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from foveal.export.proof.probes import probes
from foveal.imaging.decode import Decoded
from foveal.imaging.preprocess import Preprocess
from foveal.models.data.dataset import DataSet
from foveal.models.readers import reader_of
from foveal.models.runs import load_run
from foveal.models.tasks import trainer_of
from foveal.models.training.checkpoint import Checkpoint
from foveal.models.training.run_folder import RunFolder, RunInfo, save_state
from foveal.packages.manifest import Data, Licences
from foveal.synth import draw_one

CLASSES = ("blue", "green", "red")


@dataclass(frozen=True)
class Run:
    """A run folder, its data set as read, and the data set's folder."""

    path: Path
    data: DataSet
    root: Path


def paint(root: Path, *, count: int = 12) -> Path:
    """A data set of noisy images of three colours and odd sizes, one folder a class."""
    random = np.random.default_rng(0)
    for class_id, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for i in range(count):
            rgb = random.integers(0, 120, (40 + 7 * i, 90 - 5 * i, 3), dtype=np.uint8)
            rgb[:, :, 2 - class_id] += 130
            Image.fromarray(rgb).save(root / name / f"{i:02}.{'png' if i % 2 else 'jpg'}")
    return root


def classifier_run(folder: Path, backbone: str = "squeezenet1_1", *, model_input: int = 64) -> Run:
    """A finished run of a random classifier whose logits spread as those of trained ones do."""
    root = paint(folder / "colours")
    trainer = trainer_of("classification")
    recipe = trainer.recipe_type.load(
        None, [f"backbone={backbone}", f"input_hw=[{model_input}, {model_input}]", "weights=/somewhere/random.pth"]
    )
    data = reader_of(recipe.task).load(root, recipe)
    torch.manual_seed(0)
    network = trainer.build(recipe, data.labels, weights="none")
    _settle(network, model_input)
    info = RunInfo(
        task="classification",
        architecture=trainer.architecture(recipe),
        labels=data.labels,
        preprocess=trainer.preprocess(recipe),
        data=Data(name=data.name, layout=data.layout, fingerprint=data.fingerprint, images=data.splits.counts()),
        licences=Licences(data="none: painted", weights="none: random"),
        seed=0,
        parameters=sum(p.numel() for p in network.parameters()),
        versions={},
    )
    run = folder / "run"
    RunFolder(run).open(recipe, info, data, root)
    save_state(run / "best.pt", network.state_dict())
    return Run(run, data, root)


def _settle(network: torch.nn.Module, model_input: int) -> None:
    """BatchNorm statistics of real activations (random ones explode or die out), and logits of spread one."""
    preprocess = Preprocess(mode="stretch", input_hw=(model_input, model_input))
    photos = [
        *probes((model_input, model_input)).values(),
        *(draw_one("shapes", i % 4, index=i).rgb for i in range(12)),
    ]
    images = torch.stack([torch.from_numpy(preprocess.apply(Decoded.of_array(rgb))[0]) for rgb in photos])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # running statistics become those of this one batch
    with torch.no_grad():
        network.train()(images)
        network.eval()
        network.head.weight.mul_(1 / network(images).std(dim=0).mean())
    assert 0.5 < network(images).std(dim=0).mean() < 2


def checkpoint_of(run: Run) -> Checkpoint:
    return load_run(run.path)
