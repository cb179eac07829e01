"""The description of a backbone (`BackboneSpec`): a torchvision network without its head, and its feature maps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from foveal.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD, Unit

StateDict = Mapping[str, Tensor]
LEVELS = ("c2", "c3", "c4", "c5")  # strides 4, 8, 16, 32


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """One registered backbone.

    `build` makes the whole classifier, torchvision's where it has one, so that its published weights fit; `backbone`
    takes the layers before the head out of it, as a Sequential whose children run one after the other.
    """

    name: str
    summary: str
    build: Callable[[], nn.Module]
    backbone: Callable[[nn.Module], nn.Sequential]
    head: str | tuple[str, ...]  # prefixes of the classifiers' keys in the state_dict; a weights file may lack them
    out_channels: int
    imagenet: Callable[[], StateDict]  # published weights, from the cache or downloaded
    licence: str  # of those weights
    taps: Mapping[str, tuple[str, int]] | None  # level -> (last child of that stride, channels); None: no pyramid
    mean: Unit = IMAGENET_MEAN
    std: Unit = IMAGENET_STD
    smallest_px: int = 32  # side of the smallest model input that leaves a feature map


def features_of(network: nn.Module) -> nn.Sequential:
    """The backbone of torchvision networks that keep it as `features`."""
    features = network.features
    assert isinstance(features, nn.Sequential)
    return features


class Features(nn.Module):
    """The backbone: normalised (N, 3, H, W) float32 -> (N, out_channels, H / 32, W / 32).

    SqueezeNet ends at H / 16, LeNet and NiN at H / 4; LeNet, AlexNet, SqueezeNet and Inception v3 lose some border.
    """

    def __init__(self, body: nn.Sequential, out_channels: int) -> None:
        super().__init__()
        self.body = body
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> Tensor:
        """The last feature map."""
        features: Tensor = self.body(images)
        return features


class MultiScale(nn.Module):
    """The backbone with its intermediate maps: normalised (N, 3, H, W) -> {"c2", "c3", "c4", "c5"} at strides 4 to 32.

    `channels` gives each level's channels. Sides that are no multiple of 32 are rounded up at every stride.
    """

    def __init__(self, body: nn.Sequential, taps: Mapping[str, tuple[str, int]]) -> None:
        super().__init__()
        self.body = body
        self.channels = {level: channels for level, (_, channels) in taps.items()}
        self._level_after = {child: level for level, (child, _) in taps.items()}

    def layers_up_to(self, level: str) -> list[nn.Module]:
        """The layers that `level`'s map is computed by, in order."""
        layers = []
        for name, child in self.body.named_children():
            layers.append(child)
            if self._level_after.get(name) == level:
                return layers
        raise KeyError(level)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """All four feature maps, finest first."""
        maps = {}
        for name, child in self.body.named_children():
            images = child(images)
            if name in self._level_after:
                maps[self._level_after[name]] = images
        return maps
