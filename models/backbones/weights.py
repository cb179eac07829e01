"""Weights for a backbone: published, a user's file, an earlier run's, or none. Files are never unpickled as code."""

import pickle
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import torch
from torch import nn
from torchvision.models import WeightsEnum

from foveal.errors import BadCheckpoint
from foveal.models.backbones.base import BackboneSpec, StateDict

MAX_LISTED = 8  # keys named in an error


def from_torchvision(weights: WeightsEnum) -> Callable[[], StateDict]:
    """A loader of torchvision's published weights: torch.hub's cache folder first, else downloaded and hash-checked."""

    def load() -> StateDict:
        try:
            state: StateDict = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        except (URLError, OSError) as error:
            cache = f"{torch.hub.get_dir()}/checkpoints"
            raise BadCheckpoint(
                f"{weights}: expected {weights.url} or a copy of it in {cache}, got: {error}. Give a state_dict "
                "file (--weights FILE), start from nothing (--weights none), or take a backbone whose weights are "
                "installed with Foveal (--set backbone=efficientnet_lite0)"
            ) from None
        return state

    return load


def unpublished(name: str) -> Callable[[], StateDict]:
    """For backbones that nobody published weights of: BadCheckpoint when they are asked for."""

    def refuse() -> StateDict:
        raise BadCheckpoint(f"weights: expected none or a state_dict file for {name}, got imagenet: none are published")

    return refuse


def read_state_dict(path: Path) -> StateDict:
    """A state_dict file written by torch.save, tensors only.

    Raises:
        BadCheckpoint: no such file, no torch file, or something else than name -> tensor in it.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise BadCheckpoint(f"{path}: expected a state_dict saved by torch.save, got: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise BadCheckpoint(f"{path}: expected a state_dict (name -> tensor), got {type(state).__name__}")
    return state


def load_weights(network: nn.Module, spec: BackboneSpec, weights: str) -> None:
    """Fill a freshly built network.

    Args:
        network: what `spec.build` gave.
        spec: the backbone.
        weights: "none" (keep the random initialisation), "imagenet", the path of a state_dict file, with or without
            the classifier's keys, or the run folder of an earlier training, of whatever task.

    Raises:
        BadCheckpoint: keys or shapes that do not fit; they are listed.
    """
    if weights == "none":
        return
    if is_run(weights):
        fill(spec.backbone(network), _run_backbone(Path(weights)), new=lambda _: False, what=spec.name, source=weights)
        return
    state = spec.imagenet() if weights == "imagenet" else read_state_dict(Path(weights))
    fill(network, state, new=lambda key: key.startswith(spec.head), what=spec.name, source=weights)


def is_run(weights: str) -> bool:
    """Whether a recipe's `weights` names the run folder of an earlier training."""
    return (Path(weights) / "run.json").is_file()


def _run_backbone(run: Path) -> StateDict:
    """The best checkpoint's backbone, with the names of `BackboneSpec.backbone`: every task keeps it as `….body`."""
    split = ((key.rpartition("body."), value) for key, value in read_state_dict(run / "best.pt").items())
    return {name: value for (_, found, name), value in split if found}


def fill(network: nn.Module, state: StateDict, *, new: Callable[[str], object], what: str, source: str) -> None:
    """Load a state_dict but for the layers that are made anew; a file with another number of classes fits too.

    Args:
        network: freshly built.
        state: its parameters and buffers by name; those of new layers are ignored.
        new: is true of a key that belongs to a new layer.
        what: the network, and
        source: the weights, as an error names them.

    Raises:
        BadCheckpoint: keys or shapes that do not fit; they are listed.
    """
    expected = network.state_dict()
    got = {key: value for key, value in state.items() if not new(key)}
    # files of before 2018 lack BatchNorm's counter, which nothing reads
    missing = [k for k in expected if k not in got and not new(k) and not k.endswith(".num_batches_tracked")]
    unexpected = [k for k in got if k not in expected]
    misshapen = [
        f"{k}: {tuple(expected[k].shape)} expected, {tuple(v.shape)} got"
        for k, v in got.items()
        if k in expected and v.shape != expected[k].shape
    ]
    if missing or unexpected or misshapen:
        raise BadCheckpoint(
            f"{source}: does not fit {what}: "
            f"{_listed('missing', missing)}; {_listed('unexpected', unexpected)}; {_listed('other shape', misshapen)}"
        )
    network.load_state_dict(got, strict=False)


def _listed(what: str, keys: list[str]) -> str:
    more = f", … {len(keys) - MAX_LISTED} more" if len(keys) > MAX_LISTED else ""
    return f"{len(keys)} {what}" + (f" ({', '.join(keys[:MAX_LISTED])}{more})" if keys else "")
