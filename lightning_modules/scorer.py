"""A small classifier of a data set's images. Its features and classes are what generated images are scored by: the
place that Inception has in the scores of photographs (Heusel et al. 2017), for grey images that it never saw."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.checks import require_positive, require_share
from datamodules.labels import SUPERVISED
from lightning_modules.checks import require_image_shape
from lightning_modules.module import Module
from lightning_modules.optimizers import adam, cosine_decay


class Scorer(Module):
    """Two convolutions with pooling, a layer of features, a linear layer of classes; trained by cross-entropy.

    Args:
        image_shape: ``(C, H, W)``; sides that divide by 4.
        num_classes: K.
        channels: of the first convolution; the second has twice as many.
        features: D, of the last hidden layer.
        dropout: of the features, in training.
        lr: Adam's first step size, which decays to zero over the budget by a cosine.
    """

    supervision = SUPERVISED

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        channels: int = 32,
        features: int = 64,
        dropout: float = 0.25,
        lr: float = 2e-3,
    ):
        super().__init__()
        require_positive(
            **{"model.channels": channels, "model.features": features, "model.lr": lr, "model.num_classes": num_classes}
        )
        require_share(**{"model.dropout": dropout})
        require_image_shape(image_shape, divisor=4)  # halved twice
        depth, height, width = image_shape
        self.lr = lr
        self.body = nn.Sequential(
            nn.Conv2d(depth, channels, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * channels * (height // 4) * (width // 4), features),
            nn.ReLU(),
        ).to(memory_format=torch.channels_last)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """What images ``(B, C, H, W)`` in [0, 1] look like to the last layer: ``(B, D)``."""
        return self.body(x.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes, ``(B, K)``."""
        return self.head(self.dropout(self.features(x)))

    @torch.no_grad()
    def describe(self, images: Tensor, batch_size: int = 1000) -> tuple[Tensor, Tensor]:
        """Features ``(N, D)`` and class probabilities ``(N, K)`` of images in [0, 1]; in evaluation mode, float32."""
        was_training = self.training
        self.eval()
        with torch.autocast(images.device.type, enabled=False):
            features = torch.cat([self.features(batch).float() for batch in images.split(batch_size)])
            probabilities = self.head(features).softmax(1)
        self.train(was_training)
        return features, probabilities

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, targets = batch
        loss = F.cross_entropy(self(x).float(), targets)
        if batch_idx % self.trainer.log_every_n_steps == 0:
            self.log("step/cross_entropy", loss.detach(), prog_bar=True)
        return loss

    def _evaluate(self, stage: str, batch: tuple[Tensor, Tensor]) -> None:
        x, targets = batch
        with torch.autocast(x.device.type, enabled=False):
            logits = self(x)
        right = (logits.argmax(1) == targets).float().mean()
        terms = {f"{stage}/accuracy": right, f"{stage}/cross_entropy": F.cross_entropy(logits, targets)}
        self.log_dict(terms, prog_bar=stage == "val", batch_size=len(x))

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("test", batch)

    def configure_optimizers(self):
        optimizer = adam(self, self.parameters(), self.lr)
        return [optimizer], [cosine_decay(optimizer, int(self.trainer.estimated_stepping_batches))]
