r"""Pseudo-labels: a classifier that learns from a few labels, and from those that a graph and it give to all others.

A convolutional network is trained under a jitter of the images, in two stages that meet at a share of the budget:

    1. targets are the classes that label spreading gives to the unlabelled images, over a graph of the codes of a VAE
       (Iscen et al. 2019, arXiv 1904.04717, with the VAE's codes in the place of the network's own features). Only the
       surest of each class count: the others are where spreading errs.
    2. a teacher, the network with averaged weights (Tarvainen & Valpola 2017, arXiv 1703.01780), looks at each image as
       it is, before the jitter. Where it is sure, the target is its class (Sohn et al. 2020, arXiv 2001.07685, eq. 4),
       and the spread one elsewhere, if that counts. So the teacher can outvote the graph, and speak where that is
       unsure; that images on which both are unsure are all that is left out keeps it from being led astray by itself.

The loss of L labelled images x_l with their classes and B others x_b with targets t_b, of which w_b in {0, 1} counts:

    1/L sum_l H(y_l, p(. | jitter(x_l))) + 1/B sum_b w_b H(t_b, p(. | jitter(x_b))),   H the cross-entropy.

The classifier is the teacher. It is inductive: images to be classified later take no part in the graph.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batches import Mixed
from datamodules.checks import require_positive, require_share
from datamodules.labels import SEMI_SUPERVISED
from lightning_modules.checks import require_image_shape
from lightning_modules.module import Module
from lightning_modules.optimizers import adam, cosine_decay

CHUNK = 1000  # images at a time where no gradient is asked for


def conv_classifier(
    image_shape: tuple[int, int, int], num_classes: int, channels: int, hidden: int, dropout: float
) -> nn.Sequential:
    """Three convolutions with batch norms and a hidden layer: ``(B, *image_shape)`` to logits ``(B, K)``.

    Args:
        image_shape: channels, height and width; sides of at least 7, which are halved three times.
        num_classes: K.
        channels: of the first convolution; the others have twice and four times as many.
        hidden: units of the layer below the last.
        dropout: of those, in training.
    """
    require_image_shape(image_shape)
    depth, height, width = image_shape
    if min(height, width) < 7:
        raise ValueError(f"image_shape={list(image_shape)}: this network needs sides of at least 7")
    positions = math.prod((side + 1) // 2 // 4 for side in (height, width))
    return nn.Sequential(
        nn.Conv2d(depth, channels, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(2 * channels),
        nn.ReLU(),
        nn.Conv2d(2 * channels, 4 * channels, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(4 * channels),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * channels * positions, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    ).to(memory_format=torch.channels_last)


class PseudoLabels(Module):
    """See the module's docstring.

    Args:
        image_shape: ``(C, H, W)``.
        num_classes: K.
        vae: the model of the required fit, of whose codes the graph is. It is no part of this module: its weights are
            neither among the parameters nor in the state dict.
        spread: the head that spreads the labels, with ``transduction_`` and ``confidence_`` after its ``fit``.
        jitter: what the network's images go through in training.
        channels: of the network (:func:`conv_classifier`).
        hidden: likewise.
        dropout: likewise.
        surest: share of the images of each spread class that counts.
        spread_share: share of the budget that the first stage takes.
        threshold: probability by the teacher from which its class is the target, in the second stage.
        decay: of the teacher's weights, a step; smaller in the first steps.
        lr: Adam's first step size, which decays to zero over the budget by a cosine.
    """

    supervision = SEMI_SUPERVISED
    compiles = False
    several_processes = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        vae: nn.Module,
        spread,
        jitter: nn.Module,
        channels: int = 24,
        hidden: int = 128,
        dropout: float = 0.2,
        surest: float = 0.8,
        spread_share: float = 0.5,
        threshold: float = 0.95,
        decay: float = 0.99,
        lr: float = 3e-3,
    ):
        super().__init__()
        positive = {"num_classes": num_classes, "channels": channels, "hidden": hidden, "lr": lr, "surest": surest}
        require_positive(**{f"model.{name}": value for name, value in positive.items()})
        if surest > 1:
            raise ValueError(f"model.surest={surest}: expects a share of the images, at most 1")
        shares = {"dropout": dropout, "spread_share": spread_share, "threshold": threshold, "decay": decay}
        require_share(**{f"model.{name}": value for name, value in shares.items()})
        for name, given, needed in (("vae", vae, "encode"), ("spread", spread, "fit")):
            if not hasattr(given, needed):
                raise ValueError(f"model.{name}: {type(given).__name__} has no {needed}()")
        self._outside = (vae.eval().requires_grad_(False),)  # a module in a tuple is in no registry
        self.spread, self.jitter = spread, jitter
        self.surest, self.spread_share, self.threshold = surest, spread_share, threshold
        self.decay, self.lr = decay, lr
        self.network = conv_classifier(image_shape, num_classes, channels, hidden, dropout)
        self.teacher = copy.deepcopy(self.network).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "PseudoLabels":
        """As ever, but that the teacher has no dropout nor a batch's statistics."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """The network's logits of images as they are given, ``(B, K)`` in float32."""
        return self.network(x.contiguous(memory_format=torch.channels_last)).float()

    @torch.no_grad()
    def judge(self, x: Tensor) -> Tensor:
        """The teacher's probabilities of the classes of images in [0, 1], ``(B, K)``."""
        return self.teacher(x.contiguous(memory_format=torch.channels_last)).float().softmax(1)

    @torch.no_grad()
    def class_probabilities(self, images: Tensor) -> Tensor:
        """The same of any number of them, in float32: ``(N, K)``."""
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self.judge(part) for part in images.split(CHUNK)])

    # The labels that are spread

    def on_fit_start(self) -> None:
        """Spreads the labels. They are a function of the VAE and the labels alone, so a continued fit has the same."""
        data = self.trainer.datamodule
        images, targets = data.given(self.supervision)
        self.spread_labels(torch.cat([self._codes(data.as_seen(part)) for part in images.split(CHUNK)]), targets)

    @torch.no_grad()
    def _codes(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self._outside[0].to(x.device).encode(x)

    def spread_labels(self, codes: Tensor, targets: Tensor) -> None:
        """Makes the first stage's targets ``spread_classes (N,)`` and ``spread_weights (N,)``, 1 where they count.

        Args:
            codes: of all training images, ``(N, D)``.
            targets: their classes, ``(N,)``, -1 where unlabelled.
        """
        self.spread.fit(codes.cpu().numpy(), targets.cpu().numpy())
        classes = torch.from_numpy(self.spread.transduction_)
        weights = surest_of_each(classes, torch.from_numpy(self.spread.confidence_), self.surest)
        self.spread_classes, self.spread_weights = classes.to(codes.device), weights.to(codes.device)

    # Training

    def pseudo_labels(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Targets ``(B,)`` of unlabelled images, rows ``(B,)`` of the training set, and their weights, 0 or 1.

        Args:
            x: the images as they are, ``(B, C, H, W)``.
            rows: which they are.
        """
        spread, counts = self.spread_classes[rows], self.spread_weights[rows]
        if self.trainer.global_step < self.spread_share * self.trainer.estimated_stepping_batches:
            return spread, counts
        confidence, classes = self.judge(x).max(1)
        sure = confidence >= self.threshold
        return torch.where(sure, classes, spread), torch.maximum(counts, sure.float())

    def training_step(self, batch: Mixed, batch_idx: int) -> Tensor:
        (known, classes), (x, _), rows = batch
        targets, weights = self.pseudo_labels(x, rows)
        logits = self(self.jitter(torch.cat([known, x])))
        losses = F.cross_entropy(logits, torch.cat([classes, targets]), reduction="none")
        labelled, unlabelled = losses.split([len(known), len(x)])
        loss = labelled.mean() + (weights * unlabelled).mean()
        if batch_idx % self.trainer.log_every_n_steps == 0:
            self.log("step/cross_entropy", loss.detach(), prog_bar=True)
            self.log("step/pseudo_labelled", weights.mean())  # share of the unlabelled images that count
        return loss

    @torch.no_grad()
    def on_train_batch_end(self, outputs, batch: Mixed, batch_idx: int) -> None:
        """The teacher follows; in the first steps it is the mean of all weights so far, nearly."""
        decay = min(self.decay, self.trainer.global_step / (self.trainer.global_step + 9))
        torch._foreach_lerp_(list(self.teacher.parameters()), list(self.network.parameters()), 1 - decay)
        for own, given in zip(self.teacher.buffers(), self.network.buffers(), strict=True):
            own.copy_(given)

    def _evaluate(self, stage: str, batch: tuple[Tensor, Tensor]) -> None:
        x, targets = batch
        probabilities = self.class_probabilities(x)
        right = (probabilities.argmax(1) == targets).float().mean()
        cross_entropy = F.nll_loss(probabilities.clamp_min(1e-12).log(), targets)
        terms = {f"{stage}/accuracy": right, f"{stage}/cross_entropy": cross_entropy}
        self.log_dict(terms, prog_bar=stage == "val", batch_size=len(x))

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("test", batch)

    def configure_optimizers(self):
        optimizer = adam(self, self.network.parameters(), self.lr)
        return [optimizer], [cosine_decay(optimizer, int(self.trainer.estimated_stepping_batches))]


def surest_of_each(classes: Tensor, confidence: Tensor, share: float) -> Tensor:
    """1 for this share of the images of each class, the ones with the highest confidence, 0 for the others.

    Args:
        classes: ``(N,)`` int64.
        confidence: ``(N,)``.
        share: above 0, at most 1; of each class at least one image counts.

    Returns:
        ``(N,)`` float32.
    """
    weights = torch.zeros(len(classes))
    for k in classes.unique():
        members = (classes == k).nonzero()[:, 0]
        order = confidence[members].argsort(descending=True, stable=True)
        weights[members[order[: max(1, int(share * len(members)))]]] = 1
    return weights
