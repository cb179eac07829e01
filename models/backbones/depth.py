"""Stochastic depth: residual branches are skipped at random in training.

A network of random depth trains faster and generalises as an ensemble of its depths would; in evaluation all branches
count. Huang, Sun, Liu, Sedra, Weinberger, "Deep Networks with Stochastic Depth", ECCV 2016,
https://arxiv.org/abs/1603.09382. The chance rises linearly from 0 at the first branch, as in the paper.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torchvision.models import mobilenetv2, mobilenetv3, resnet
from torchvision.ops import StochasticDepth, stochastic_depth

from foveal.errors import BadRecipe


def drop_branches(backbone: nn.Module, chance: float | None, *, name: str) -> None:
    """Give the backbone's residual branches their chance of being skipped, in place.

    Args:
        backbone: a backbone's.
        chance: of the last branch, in [0, 1); None leaves all as the backbone has it.
        name: the backbone's, for the error.

    Raises:
        BadRecipe: there is no residual branch.
    """
    if chance is None:
        return
    branches = [branch for module in backbone.modules() if (branch := _end_of_branch(module)) is not None]
    if not branches:
        raise BadRecipe(f"stochastic_depth: expected a backbone with residual branches, got {name}")
    for i, branch in enumerate(branches):
        p = chance * (i + 1) / len(branches)
        if isinstance(branch, StochasticDepth):
            branch.p = p
        else:  # a hook, so that names in the state_dict stay as they are
            branch.register_forward_hook(partial(_skip, p=p))


def _end_of_branch(module: nn.Module) -> nn.Module | None:
    """The last layer of a block's branch, just before the shortcut joins."""
    end: Any = None
    if isinstance(module, StochasticDepth):  # EfficientNet has them from its authors
        end = module
    elif isinstance(module, resnet.BasicBlock):
        end = module.bn2
    elif isinstance(module, resnet.Bottleneck):
        end = module.bn3
    elif isinstance(module, mobilenetv2.InvertedResidual) and module.use_res_connect:
        end = module.conv[-1]
    elif isinstance(module, mobilenetv3.InvertedResidual) and module.use_res_connect:
        end = module.block[-1]
    assert end is None or isinstance(end, nn.Module)
    return end


def _skip(module: nn.Module, _: Any, output: Tensor, *, p: float) -> Tensor:
    kept: Tensor = stochastic_depth(output, p, "row", training=module.training)
    return kept
