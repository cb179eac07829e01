"""RegNetY: design spaces instead of single designs.

Thousands of small trainings narrowed a space of networks down to a rule: widths of the blocks lie on a line, rounded
to a few stages, with groups of one size and a bottleneck of 1; Y adds squeeze-and-excitation. Any budget has a
member. Radosavovic, Kosaraju, Girshick, He, Dollar, "Designing Network Design Spaces", CVPR 2020,
https://arxiv.org/abs/2003.13678.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import nn
from torchvision.models import (
    RegNet_Y_1_6GF_Weights,
    RegNet_Y_3_2GF_Weights,
    RegNet_Y_8GF_Weights,
    RegNet_Y_400MF_Weights,
    RegNet_Y_800MF_Weights,
    WeightsEnum,
    regnet_y_1_6gf,
    regnet_y_3_2gf,
    regnet_y_8gf,
    regnet_y_400mf,
    regnet_y_800mf,
)

from foveal.models.backbones.base import BackboneSpec
from foveal.models.backbones.published import published, taps


def _backbone(network: nn.Module) -> nn.Sequential:
    """Stem and the four blocks."""
    stem, blocks = network.stem, network.trunk_output
    assert isinstance(stem, nn.Module)
    assert isinstance(blocks, nn.Sequential)
    return nn.Sequential(OrderedDict([("stem", stem), *blocks.named_children()]))


def _spec(
    build: Callable[[], nn.Module], weights: WeightsEnum, summary: str, widths: tuple[int, int, int, int]
) -> BackboneSpec:
    levels = taps(("block1", "block2", "block3", "block4"), widths)
    return published(build, weights, summary, out_channels=widths[-1], taps=levels, backbone=_backbone, head="fc.")


REGNET_Y_400MF = _spec(
    regnet_y_400mf, RegNet_Y_400MF_Weights.DEFAULT, "4.3 M parameters, 0.4 GMAC at 224 px", (48, 104, 208, 440)
)
REGNET_Y_800MF = _spec(
    regnet_y_800mf, RegNet_Y_800MF_Weights.DEFAULT, "6.4 M parameters, 0.8 GMAC at 224 px", (64, 144, 320, 784)
)
REGNET_Y_1_6GF = _spec(
    regnet_y_1_6gf, RegNet_Y_1_6GF_Weights.DEFAULT, "11.2 M parameters, 1.6 GMAC at 224 px", (48, 120, 336, 888)
)
REGNET_Y_3_2GF = _spec(
    regnet_y_3_2gf, RegNet_Y_3_2GF_Weights.DEFAULT, "19.4 M parameters, 3.2 GMAC at 224 px", (72, 216, 576, 1512)
)
REGNET_Y_8GF = _spec(
    regnet_y_8gf, RegNet_Y_8GF_Weights.DEFAULT, "39.4 M parameters, 8.5 GMAC at 224 px", (224, 448, 896, 2016)
)
