"""Non-maximum suppression as an operator with a known output shape: a mask instead of a list.

torchvision.ops.nms returns as many indices as boxes survive, a size that torch.export can neither know nor batch. The
operator here answers "does this box survive?" for every box of a batch, so that everything after it keeps its static
shapes. In eager mode it IS torchvision's NMS; in ONNX it becomes NonMaxSuppression, scattered back into a mask.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from onnxscript import opset18
from torch import Tensor
from torchvision.ops import nms

BOOL = 9  # onnx.TensorProto.BOOL
op: Any = opset18  # annotated so that not even its own Constant fits
NOT_A_CANDIDATE = -1e30  # score of a box that takes no part; far below every logit and probability
CANDIDATE_ABOVE = NOT_A_CANDIDATE / 2


@torch.library.custom_op("foveal::nms_keep", mutates_args=())
def nms_keep(boxes: Tensor, scores: Tensor, iou_threshold: Tensor) -> Tensor:
    """Which boxes survive greedy NMS, group by group.

    Args:
        boxes: (B, K, 4) float32 xyxy.
        scores: (B, G, K) float32, the boxes' scores in each of G groups (pyramid levels, classes) that do not see one
            another. NOT_A_CANDIDATE as score: the box takes no part in the group, it neither survives nor suppresses.
        iou_threshold: scalar float32; a box goes when its IoU with a better, kept one is greater.

    Returns:
        (B, G, K) bool.
    """
    keep = torch.zeros_like(scores, dtype=torch.bool)
    for item, group in product(range(scores.shape[0]), range(scores.shape[1])):
        candidates = torch.where(scores[item, group] > CANDIDATE_ABOVE)[0]
        kept = nms(boxes[item, candidates], scores[item, group, candidates], float(iou_threshold))
        keep[item, group, candidates[kept]] = True
    return keep


@nms_keep.register_fake
def _(_boxes: Tensor, scores: Tensor, _iou_threshold: Tensor) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


def onnx_translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """How torch.onnx.export writes our operator: its `custom_translation_table`."""
    return {torch.ops.foveal.nms_keep.default: _onnx_nms_keep}


def _onnx_nms_keep(boxes: Any, scores: Any, iou_threshold: Any) -> Any:
    """NonMaxSuppression lists the survivors as rows (item, group, box); they are scattered back into a mask."""
    limit = op.Shape(scores, start=2, end=3)  # K: no cut, every box may survive
    threshold = op.Reshape(iou_threshold, op.Constant(value_ints=[1]))
    candidate = op.Constant(value_floats=[CANDIDATE_ABOVE])
    survivors = op.NonMaxSuppression(boxes, scores, limit, threshold, candidate)  # (S, 3) int64
    kept = op.Expand(op.Constant(value_int=1), op.Shape(survivors, start=0, end=1))
    nobody = op.Expand(op.Constant(value_int=0), op.Shape(scores))
    return op.Cast(op.ScatterND(nobody, survivors, kept), to=BOOL)
