"""The operator against torchvision's NMS in eager mode, and its ONNX form against the operator."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import nms

from foveal.export.detection.nms_op import NOT_A_CANDIDATE, nms_keep, onnx_translations


def crowd(seed: int, items: int, groups: int, count: int) -> tuple[Tensor, Tensor]:
    """Overlapping boxes, and scores a third of which take no part; some boxes are equal, some empty."""
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(items, count, 2, generator=random) * 40
    boxes = torch.cat((corner, corner + torch.rand(items, count, 2, generator=random) * 40), 2)
    boxes[:, 1] = boxes[:, 0]
    boxes[:, 2, 2:] = boxes[:, 2, :2]
    scores = torch.rand(items, groups, count, generator=random) - 0.5
    scores[torch.rand(scores.shape, generator=random) < 0.3] = NOT_A_CANDIDATE
    return boxes, scores


class Keep(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor, iou_threshold: Tensor) -> Tensor:
        return nms_keep(boxes, scores, iou_threshold)


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    batch, count = torch.export.Dim("batch"), torch.export.Dim("count")
    program = torch.export.export(
        Keep(),
        (*crowd(0, 2, 3, 5), torch.tensor(0.5)),
        dynamic_shapes=({0: batch, 1: count}, {0: batch, 2: count}, {}),
        strict=False,
    )
    graph = torch.onnx.export(
        program, dynamo=True, verbose=False, opset_version=20, custom_translation_table=onnx_translations()
    )
    return ort.InferenceSession(graph.model_proto.SerializeToString())


@pytest.mark.parametrize("iou_threshold", [0.0, 0.3, 0.5, 1.0])
def test_keeps_what_torchvision_keeps_group_by_group(iou_threshold: float) -> None:
    boxes, scores = crowd(1, 2, 3, 60)
    keep = nms_keep(boxes, scores, torch.tensor(iou_threshold))
    for item in range(2):
        for group in range(3):
            taking_part = torch.where(scores[item, group] > NOT_A_CANDIDATE)[0]
            kept = nms(boxes[item, taking_part], scores[item, group, taking_part], iou_threshold)
            assert torch.where(keep[item, group])[0].tolist() == sorted(taking_part[kept].tolist())


@pytest.mark.parametrize(("items", "count"), [(1, 60), (2, 5), (3, 200), (1, 3)])
@pytest.mark.parametrize("iou_threshold", [0.0, 0.3, 0.5, 1.0])
def test_onnx_form_is_the_operator_at_sizes_that_were_not_traced(
    session: ort.InferenceSession, items: int, count: int, iou_threshold: float
) -> None:
    inputs = (*crowd(count, items, 3, count), torch.tensor(iou_threshold))
    feeds = {node.name: value.numpy() for node, value in zip(session.get_inputs(), inputs, strict=True)}
    keep = session.run(None, feeds)[0]
    assert keep.dtype == np.bool_
    assert (keep == nms_keep(*inputs).numpy()).all()


def test_nobody_takes_part(session: ort.InferenceSession) -> None:
    boxes, scores = crowd(0, 2, 3, 7)
    nobody = torch.full_like(scores, NOT_A_CANDIDATE)
    feeds = zip(session.get_inputs(), (boxes, nobody, torch.tensor(0.5)), strict=True)
    assert not session.run(None, {node.name: value.numpy() for node, value in feeds})[0].any()
    assert not nms_keep(boxes, nobody, torch.tensor(0.5)).any()
