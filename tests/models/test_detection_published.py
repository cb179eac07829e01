"""torchvision's own detectors behind Foveal's model input: the same answers, a new head."""

import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.models import detection as tv

from foveal.errors import BadCheckpoint, BadRecipe
from foveal.export.detection.match import Tolerance, match
from foveal.models.detection.networks.architectures import build, name_of
from foveal.models.detection.networks.published import PUBLISHED, published_layers
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe
from foveal.models.tasks import trainer_of
from tests.helpers import detection_networks as nets

SMALL = "ssdlite320_mobilenet_v3_large"
COCO_CLASSES = 91  # background and the labels that COCO once planned


def size_of(name: str) -> tuple[int, int]:
    return max(128, PUBLISHED[name].smallest_side), max(160, PUBLISHED[name].smallest_side)


def recipe(name: str, **fields: object) -> DetectionRecipe:
    kind = InstanceRecipe if name.startswith("mask") else DetectionRecipe
    return kind(architecture=name, **{"input_hw": size_of(name), "weights": "coco", **fields})


def published_state(name: str, **options: object) -> dict[str, torch.Tensor]:
    """A state_dict as torchvision publishes it, of random weights."""
    torch.manual_seed(5)
    return PUBLISHED[name].build(weights=None, weights_backbone=None, **options).state_dict()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's folder of downloads, empty and without a network behind it."""

    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_only_layers_that_name_classes_depend_on_their_number(name: str) -> None:
    """Without weights: on the meta device. What `new` names is what a COCO state_dict cannot fill."""
    spec = PUBLISHED[name]
    with torch.device("meta"):
        coco, ours = (
            spec.build(weights=None, weights_backbone=None, num_classes=n).state_dict() for n in (COCO_CLASSES, 4)
        )
    assert coco.keys() == ours.keys()
    other = {key for key in coco if coco[key].shape != ours[key].shape}
    assert other == {key for key in coco if re.match(spec.new, key)}
    assert spec.weights.url.rsplit("/", 1)[1].startswith(name)


def test_coco_weights_come_from_the_hub_cache_and_the_head_is_new(cache: Path) -> None:
    state = published_state(SMALL)
    torch.save(state, cache / Path(PUBLISHED[SMALL].weights.url).name)
    network = build(recipe(SMALL), classes=2, weights="coco")
    for key, value in network.detector.state_dict().items():
        new = re.match(PUBLISHED[SMALL].new, key)
        assert new or torch.equal(value, state[key]), key
        assert not new or value.shape != state[key].shape


def test_without_cache_and_network_it_says_what_to_do(cache: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"ssdlite320_mobilenet_v3_large_coco-.*no network.*--weights none"):
        build(recipe(SMALL), classes=2, weights="coco")


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"backbone.nothing": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(BadCheckpoint, match=r"does not fit ssdlite320.*1 unexpected \(backbone.nothing\)"):
        build(recipe(SMALL), classes=2, weights=str(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"weights": "imagenet"}, "expected weights coco, none or a state_dict file, got imagenet"),
        ({"anchor_sizes_px": (8,)}, "anchors and levels of its weights; got anchor_sizes_px"),
    ],
)
def test_what_does_not_apply_is_refused(fields: dict[str, object], said: str) -> None:
    wanted = recipe(SMALL, **fields)
    with pytest.raises(BadRecipe, match=said):
        build(wanted, classes=2, weights=wanted.weights)


def test_everything_but_the_new_head_learns_slowly_and_keeps_its_statistics() -> None:
    trainer = trainer_of("object-detection")
    network = build(recipe(SMALL), classes=2, weights="none")
    slow = {id(p) for p in trainer.backbone(network).parameters()}
    fast = {name for name, p in network.named_parameters() if id(p) not in slow}
    assert fast == {
        name for name, _ in network.named_parameters() if re.match(rf"detector\.{PUBLISHED[SMALL].new}", name)
    }
    norms = {id(m) for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert norms <= {id(m) for m in published_layers(network)}
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert frozen
    assert all(name.startswith("detector.backbone.features.0.") for name in frozen)


def test_names_and_input_statistics_are_the_networks_own() -> None:
    trainer, wanted = trainer_of("object-detection"), recipe("ssd300_vgg16", backbone="resnet18")
    assert name_of(wanted) == trainer.architecture(wanted) == "ssd300_vgg16"
    assert trainer.preprocess(wanted).mean == (0.48235, 0.45882, 0.40784)


def same_as_torchvision(name: str) -> int:
    """Our network and torchvision's, with the same weights and on the same pixels; how many detections agree.

    In float64: random networks have so many near-ties that two correct float32 programs keep different boxes.
    """
    spec, input_hw = PUBLISHED[name], size_of(name)
    fields = {"input_hw": input_hw, "proposals": 1000, "proposals_before_nms": 1000}
    ours = nets.real(name, "mobilenet_v2", **fields).network
    theirs = spec.build(weights=None, weights_backbone=None, num_classes=len(nets.CLASSES) + spec.named_classes).eval()
    theirs.load_state_dict(getattr(ours, "detector", ours).state_dict())
    theirs.transform.fixed_size = input_hw[::-1]
    for network in (ours, theirs):
        network.double()
        last = getattr(network, "roi_heads", getattr(network, "detector", network))
        last.score_thresh, last.nms_thresh, last.detections_per_img = 0.3, 0.5, 50
    images = nets.blobs(input_hw, 3, seed=1)[0].double()
    with torch.inference_mode():
        got = ours(images[2:], torch.tensor([input_hw], dtype=torch.float32))[0]
        expected = theirs([images[2].permute(2, 0, 1) / 255])[0]
    names = {"boxes": "boxes", "scores": "scores", "labels": "class_ids"}
    rows, their_rows = ({names[key]: one[key].numpy() for key in names} for one in (got, expected))
    their_rows["class_ids"] -= spec.named_classes
    found = match(their_rows, rows, Tolerance())  # as sets: near-ties may swap places
    assert len(found.pairs) == len(got["scores"]) == len(expected["scores"])
    if "masks" in got:
        assert got["masks"].shape == (len(got["scores"]), 28, 28)  # theirs are pasted into the image
    return len(got["scores"])


def test_ssdlite_answers_as_torchvisions_own_model() -> None:
    assert same_as_torchvision(SMALL) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PUBLISHED.keys() - {SMALL}))
def test_the_large_ones_answer_as_torchvisions_own_models(name: str) -> None:
    assert same_as_torchvision(name) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_they_train_from_a_state_dict_of_the_cache(name: str, cache: Path) -> None:
    torch.save(published_state(name), cache / Path(PUBLISHED[name].weights.url).name)
    network = build(recipe(name), classes=2, weights="coco").train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    height, width = size_of(name)
    images = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    target = {"boxes": torch.tensor([[10.0, 10, 60, 50]]), "labels": torch.tensor([1])}
    target |= {"masks": torch.ones(1, height, width, dtype=torch.uint8)} if name.startswith("mask") else {}
    losses = network(images, torch.tensor([[float(height), float(width)]]), [target])
    assert torch.isfinite(torch.stack(list(losses.values())).sum())


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_an_input_that_is_too_small_is_refused_before_the_first_epoch(name: str) -> None:
    smallest = PUBLISHED[name].smallest_side
    with torch.device("meta"):
        backbone = PUBLISHED[name].build(weights=None, weights_backbone=None).eval().backbone
        backbone(torch.zeros(1, 3, smallest, smallest))
        if smallest > 32:
            with pytest.raises(RuntimeError, match="greater than actual input size"):
                backbone(torch.zeros(1, 3, smallest - 32, smallest))
    if smallest > 32:
        small = recipe(name, input_hw=(smallest - 32, 320))
        with pytest.raises(BadRecipe, match=rf"{name}: expected an input_hw of at least {smallest} x {smallest} px"):
            build(small, classes=2, weights="none")


def test_every_builder_is_torchvisions() -> None:
    assert all(getattr(tv, name) is spec.build for name, spec in PUBLISHED.items())
