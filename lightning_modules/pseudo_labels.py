r"""Pseudo-labels: a classifier that learns from a few labels, and from those that a graph gives to all other images.

Label spreading and a convolutional network take turns (Iscen et al. 2019, arXiv 1904.04717):

    1. labels are spread to the unlabelled images over a graph of the codes of a VAE; the surest of each class count,
       the others are where spreading errs.
    2. a network learns these classes under a jitter of the images. A teacher, the same with averaged weights (Tarvainen
       & Valpola 2017, arXiv 1703.01780), follows it.
    3. every few epochs the labels that were given are spread anew, over a graph of the features of the teacher. These
       know what the jitter does not change, and what the classes are: of so many more labels all count.

The loss of a batch of labelled images and others, with targets t_i of which w_i in {0, 1} counts, 1 where labelled, is

    sum_i w_i H(t_i, p(. | jitter(x_i))) / sum_i w_i,   H the cross-entropy.

The classifier is the teacher, on average over shifted views of an image where these are asked for. It is inductive:
images to be classified later take no part in a graph.
"""

import copy
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.batches import Mixed
from datamodules.checks import require_positive, require_share, require_whole
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
        vae: the model of the required fit, of whose codes the first graph is. It is no part of this module: its weights
            are neither among the parameters nor in the state dict.
        spread: the head that spreads the labels, with ``transduction_`` and ``confidence_`` after its ``fit``.
        jitter: what the network's images go through in training.
        channels: of the network (:func:`conv_classifier`).
        hidden: likewise.
        dropout: likewise.
        surest: share of the images of each class that counts, as long as the graph is of the VAE's codes.
        spread_every_n_epochs: after how many the labels are spread anew.
        view_shift: pixels that the image is shifted by each way for the classifier; 0 for the image alone.
        decay: of the teacher's weights, a step; smaller in the first steps.
        lr: Adam's first step size, which decays to zero over the budget by a cosine.

    Attributes:
        targets: the classes that the network is to learn, ``(N,)`` of the training images; None before a fit. They are
            kept in checkpoints: a continued fit goes on with them.
        weights: 1 where these count, 0 elsewhere, ``(N,)`` float32.
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
        spread_every_n_epochs: int = 2,
        view_shift: int = 0,
        decay: float = 0.99,
        lr: float = 3e-3,
    ):
        super().__init__()
        positive = {"num_classes": num_classes, "channels": channels, "hidden": hidden, "lr": lr, "surest": surest}
        require_positive(**{f"model.{name}": value for name, value in positive.items()})
        require_whole(**{"model.spread_every_n_epochs": spread_every_n_epochs})
        require_whole(least=0, **{"model.view_shift": view_shift})
        if surest > 1:
            raise ValueError(f"model.surest={surest}: expects a share of the images, at most 1")
        require_share(**{"model.dropout": dropout, "model.decay": decay})
        for name, given, needed in (("vae", vae, "encode"), ("spread", spread, "fit")):
            if not hasattr(given, needed):
                raise ValueError(f"model.{name}: {type(given).__name__} has no {needed}()")
        self._outside = (vae.eval().requires_grad_(False),)  # a module in a tuple is in no registry
        self.spread, self.jitter = spread, jitter
        self.surest, self.spread_every_n_epochs, self.view_shift = surest, spread_every_n_epochs, view_shift
        self.decay, self.lr = decay, lr
        self.network = conv_classifier(image_shape, num_classes, channels, hidden, dropout)
        self.teacher = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.targets = self.weights = None

    def train(self, mode: bool = True) -> "PseudoLabels":
        """As ever, but that the teacher has no dropout nor a batch's statistics."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """The network's logits of images as they are given, ``(B, K)`` in float32."""
        return self.network(x.contiguous(memory_format=torch.channels_last)).float()

    @torch.no_grad()
    def class_probabilities(self, images: Tensor) -> Tensor:
        """The teacher's, of any number of images in [0, 1], on average over the shifted ones: ``(N, K)`` in float32."""
        with torch.autocast(images.device.type, enabled=False):
            return torch.cat([self._of_views(part) for part in images.split(CHUNK)])

    def _of_views(self, x: Tensor) -> Tensor:
        s, (height, width) = self.view_shift, x.shape[2:]
        padded = F.pad(x, (s, s, s, s))
        starts = {(top, left) for top in (0, s, 2 * s) for left in (0, s, 2 * s)}
        views = [padded[:, :, top : top + height, left : left + width] for top, left in sorted(starts)]
        in_order = (view.contiguous(memory_format=torch.channels_last) for view in views)
        return sum(self.teacher(view).softmax(1) for view in in_order) / len(views)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """The teacher's hidden layer, of length 1 for each image ``(B, C, H, W)``: ``(B, hidden)``."""
        return F.normalize(self.teacher[:-2](x.contiguous(memory_format=torch.channels_last)))

    # The labels that are spread

    def on_fit_start(self) -> None:
        if self.targets is None:
            self._spread_over(lambda x: self._outside[0].to(x.device).encode(x), self.surest)

    def on_train_epoch_start(self) -> None:
        if self.current_epoch and self.current_epoch % self.spread_every_n_epochs == 0:
            self._spread_over(self.features, 1.0)

    @torch.no_grad()
    def _spread_over(self, code: Callable[[Tensor], Tensor], share: float) -> None:
        data = self.trainer.datamodule
        images, targets = data.given(self.supervision)
        with torch.autocast(images.device.type, enabled=False):
            codes = torch.cat([code(data.as_seen(part)) for part in images.split(CHUNK)])
        self.spread_labels(codes, targets, share)

    def spread_labels(self, codes: Tensor, targets: Tensor, share: float) -> None:
        """Makes :attr:`targets` and :attr:`weights`.

        Args:
            codes: of all training images, ``(N, D)``.
            targets: their classes, ``(N,)``, -1 where unlabelled.
            share: of the images of each class that counts, the surest.
        """
        self.spread.fit(codes.cpu().numpy(), targets.cpu().numpy())
        classes = torch.from_numpy(self.spread.transduction_)
        weights = surest_of_each(classes, torch.from_numpy(self.spread.confidence_), share)
        self.targets, self.weights = classes.to(codes.device), weights.to(codes.device)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["pseudo_labels"] = {"targets": self.targets, "weights": self.weights}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        kept = checkpoint["pseudo_labels"]
        self.targets, self.weights = kept["targets"].to(self.device), kept["weights"].to(self.device)

    # Training

    def training_step(self, batch: Mixed, batch_idx: int) -> Tensor:
        (known, classes), (x, _), rows = batch
        logits = self(self.jitter(torch.cat([known, x])))
        losses = F.cross_entropy(logits, torch.cat([classes, self.targets[rows]]), reduction="none")
        weights = torch.cat([torch.ones(len(known), device=x.device), self.weights[rows]])
        loss = (weights * losses).sum() / weights.sum()
        if batch_idx % self.trainer.log_every_n_steps == 0:
            self.log("step/cross_entropy", loss.detach(), prog_bar=True)
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
