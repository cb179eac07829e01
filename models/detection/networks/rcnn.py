"""Two-stage detectors: Faster R-CNN and Mask R-CNN on any pyramid, fed with Foveal's model input.

Ren et al., "Faster R-CNN", NeurIPS 2015, https://arxiv.org/abs/1506.01497: a region proposal network scores anchors as
object or not and moves them; a second head classifies and refines what RoIAlign cuts out of the maps. He et al., "Mask
R-CNN", ICCV 2017, https://arxiv.org/abs/1703.06870: a third head draws a small soft mask inside each final box.

The parts are torchvision's (RPN, RoIHeads, samplers, losses); its GeneralizedRCNNTransform is left out, because resize,
padding and normalisation are Foveal's `Preprocess` and `Normalize`, in training as in serving.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from foveal.models.backbones.normalization import Normalize
from foveal.models.detection.networks.pyramid import Pyramid, PyramidPool
from foveal.models.detection.recipe import DetectionRecipe, InstanceRecipe

Prediction = dict[str, Tensor]  # boxes, scores, labels (and masks) of one image
Target = dict[str, Tensor]


class TwoStageDetector(nn.Module):
    """Faster R-CNN, and Mask R-CNN when `roi_heads` has a mask head.

    forward(images, content_hw[, targets]):
        images: (N, H, W, 3) uint8, letterboxed model inputs. content_hw: (N, 2) float32, height and width of the
        image's part at the top left. targets, in training: a dict an image: boxes (M, 4) float32 model-input pixels,
        labels (M,) int64 from 1 (0 is background), masks (M, H, W) uint8 for Mask R-CNN.
    Returns in training the losses by name, in evaluation a dict an image, best first: boxes (K, 4) float32 model input
        pixels inside the content, scores (K,), labels (K,) int64 from 0, masks (K, 28, 28) soft, of the box' class.
    """

    new_layers = ""  # pattern of the layers without weights to start from; empty: all but `backbone.body`

    def __init__(
        self, normalize: Normalize, backbone: nn.Module, rpn: RegionProposalNetwork, roi_heads: RoIHeads
    ) -> None:
        super().__init__()
        self.normalize = normalize
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads

    def forward(
        self, images: Tensor, content_hw: Tensor, targets: Sequence[Target] | None = None
    ) -> dict[str, Tensor] | list[Prediction]:
        """Losses in training, detections in evaluation; see the class."""
        model_input = self.normalize(images)
        features = self.backbone(model_input)
        sizes = [(int(h), int(w)) for h, w in content_hw.tolist()]  # boxes are clipped to these
        proposals, rpn_losses = self.rpn(ImageList(model_input, sizes), features, targets)
        detections, roi_losses = self.roi_heads(features, proposals, sizes, targets)
        if self.training:
            return {**rpn_losses, **roi_losses}
        return [_from_zero(detection) for detection in detections]


def _from_zero(detection: Prediction) -> Prediction:
    found = {"boxes": detection["boxes"], "scores": detection["scores"], "labels": detection["labels"] - 1}
    if "masks" in detection:
        found["masks"] = detection["masks"][:, 0]  # (K, 1, 28, 28) -> (K, 28, 28)
    return found


def two_stage(
    recipe: DetectionRecipe, pyramid: Pyramid, normalize: Normalize, anchors: AnchorGenerator, *, classes: int
) -> TwoStageDetector:
    """Assemble the detector: RPN on every level, box head (and mask head) on the backbone's own levels."""
    rpn = RegionProposalNetwork(
        anchors,
        RPNHead(pyramid.out_channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n={"training": recipe.proposals_before_nms, "testing": recipe.proposals_before_nms},
        post_nms_top_n={"training": recipe.proposals, "testing": recipe.proposals},
        nms_thresh=0.7,
    )
    roi_heads = RoIHeads(
        _pool(pyramid, recipe, output_px=7),
        TwoMLPHead(pyramid.out_channels * 7 * 7, recipe.box_head_width),
        FastRCNNPredictor(recipe.box_head_width, classes + 1),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=recipe.sampled_boxes,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=0.0,  # these three are set for evaluation by architectures.set_thresholds
        nms_thresh=0.5,
        detections_per_img=300,
    )
    if isinstance(recipe, InstanceRecipe):
        width = recipe.mask_head_width
        roi_heads.mask_roi_pool = _pool(pyramid, recipe, output_px=14)
        roi_heads.mask_head = MaskRCNNHeads(pyramid.out_channels, (width,) * recipe.mask_head_depth, dilation=1)
        roi_heads.mask_predictor = MaskRCNNPredictor(width, width, classes + 1)
    return TwoStageDetector(normalize, pyramid, rpn, roi_heads)


def _pool(pyramid: Pyramid, recipe: DetectionRecipe, *, output_px: int) -> PyramidPool:
    return PyramidPool(
        strides=pyramid.strides[: len(pyramid.levels)],
        levels=pyramid.levels,
        output_px=output_px,
        canonical_px=recipe.canonical_px,
    )
