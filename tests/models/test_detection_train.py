"""Detectors through the training loop, on drawn scenes and tiny model inputs."""

from pathlib import Path

import pytest
import torch

from foveal.models.data.loading import train_loader
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.readers import reader_of
from foveal.models.runs import load_run, train
from foveal.models.tasks import trainer_of
from foveal.models.training.checkpoint import predict_all
from foveal.synth.write import Order, write_data_set

SMALL = {
    "weights": "none",
    "pyramid_channels": 16,
    "box_head_width": 32,
    "proposals": 30,
    "epochs": 1,
    "warmup_epochs": 0.0,
    "batch_size": 1,
}


def drawn(folder: Path, layout: str, *, task: str = "object-detection", style: str = "blood", count: int = 14) -> Path:
    order = Order(task=task, style=style, count=count, seed=3, layout=layout, image_hw=(64, 96))
    write_data_set(order, folder / layout)
    return folder / layout


def first_losses(root: Path, steps: int = 10) -> list[float]:
    """Training by hand: the same draws, one plain step each."""
    recipe = DetectionRecipe(architecture="ssdlite", input_hw=(64, 96), **SMALL)
    task = trainer_of(recipe.task)
    data = reader_of(recipe.task).load(root, recipe)
    torch.manual_seed(0)
    network = task.build(recipe, data.labels, weights="none").train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # a batch of one image
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    dataset = task.train_set(data.splits.train, recipe)
    losses = []
    for batch in train_loader(dataset, len(data.splits.train), 1, task.collate, seed=0, workers=0):
        total = torch.stack(list(task.loss(network, batch, recipe).values())).sum()
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(total.item())
        if len(losses) == steps:
            break
    return losses


def test_three_copies_of_one_data_set_give_the_same_first_ten_losses(tmp_path: Path) -> None:
    voc, coco, yolo = (first_losses(drawn(tmp_path, layout)) for layout in ("voc", "coco", "yolo"))
    assert len(voc) == 10
    assert len(set(voc)) == 10
    assert coco == pytest.approx(voc, abs=1e-3)
    assert yolo == pytest.approx(voc, abs=1e-3)


def test_a_run_trains_is_scored_and_comes_back_as_it_was(tmp_path: Path) -> None:
    root = drawn(tmp_path, "idmaps", task="instance-segmentation", style="nuclei", count=8)
    recipe = InstanceRecipe(
        input_hw=(64, 96), val_fraction=0.25, test_fraction=0.25, mosaic=0.5, copy_paste=0.5, plain_epochs=0, **SMALL
    )
    result = train(recipe, root, tmp_path / "run")
    assert result["val"]["images"] == result["test"]["images"] == 2
    assert {"AP50", "AP", "box_AP50", "box_AP"} <= result["val"].keys()
    assert (tmp_path / "run" / "precision_recall.png").stat().st_size > 0
    checkpoint = load_run(tmp_path / "run")
    assert checkpoint.architecture == "maskrcnn-efficientnet_lite0"
    assert checkpoint.labels == ("object",)
    data = reader_of(checkpoint.task).load(root, recipe)
    assert data.fingerprint == checkpoint.data.fingerprint
    predictions = predict_all(checkpoint, data.splits.val)
    again = checkpoint.trainer.score(predictions, data.splits.val, data.labels, recipe)
    assert again == pytest.approx({k: v for k, v in result["val"].items() if k != "images"})
