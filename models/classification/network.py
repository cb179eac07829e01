"""The classifier (`Classifier`): a backbone, average pooling and one linear layer."""

from torch import Tensor, nn

from foveal.models.backbones.normalization import Normalize


class Classifier(nn.Module):
    """uint8 (N, H, W, 3) model inputs -> logits (N, classes) float32."""

    def __init__(
        self,
        normalize: Normalize,
        features: nn.Module,
        channels: int,
        classes: int,
        dropout: float,
        *,
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", None, persistent=False)  # of the loss, (classes,); not of the answers
        self.normalize = normalize
        self.backbone = features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch; in eval mode, if so built, their mean over each image and its mirror image."""
        planes = self.normalize(images)
        if self.training or not self.mirrored:
            return self._logits(planes)
        return (self._logits(planes) + self._logits(planes.flip(3))) / 2

    def _logits(self, planes: Tensor) -> Tensor:
        features = self.backbone(planes)  # (N, C, h, w)
        logits: Tensor = self.head(self.dropout(features.mean((2, 3))))
        return logits
