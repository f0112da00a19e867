r"""A generative model that learns from a few labels (Kingma et al. 2014, arXiv 1406.5298, section 2.2), of any inputs.

An image x is thought to arise from its class y, seen for a few images only, and from a code z that nobody sees, which
is left to say what the class doesn't (the hand, the slant):

    y ~ p(y), uniform over the K classes
    z ~ N(0, I), D dimensions
    x ~ p(x | y, z)                   a decoder's: of pixels in m2.py, of another VAE's codes in m1_m2.py

and q(z, y | x) = q(y | x) q(z | x, y) approximates the posterior, q(z | x, y) = N(mu(x, y), diag sigma(x, y)^2). So
q(y | x) is a classifier. In nats per image,

    L(x, y) = -E_q(z|x,y) [log p(x | y, z)] - log p(y) + KL(q(z | x, y) || N(0, I))   >= -log p(x, y)     (eq. 6)
    U(x)    = sum_y q(y | x) L(x, y) - H(q(y | x))                                    >= -log p(x)        (eq. 7)

U's sum over classes is exact: one sample of z for each class, all of them in one pass. The loss is the paper's
(eq. 9), divided by the N training images, of which a share s is labelled:

    J / N = s E_labelled [L(x, y)] + (1 - s) E_unlabelled [U(x)] + alpha E_labelled [-log q(y | x)],

alpha = 0.1 for the paper's 0.1 N. Each expectation is the mean over its part of a batch, so that the loss is the same
in expectation whatever the parts' sizes; :attr:`labelled_share` is of the training set, not of a batch.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.checks import require_non_negative, require_one_of, require_positive
from datamodules.labels import SEMI_SUPERVISED
from lightning_modules.checks import require_betas
from lightning_modules.conditional_networks import ClassConditionalMLP
from lightning_modules.module import Module
from lightning_modules.networks import init_xavier, mlp
from lightning_modules.optimizers import LR_DECAYS, adam, cosine_decay
from lightning_modules.vae import gaussian_kl


class Terms(NamedTuple):
    """What the loss is made of, 0-d each, in nats per image.

    labelled: mean L(x, y) of labelled images.
    unlabelled: mean U(x) of unlabelled ones.
    cross_entropy: mean -log q(y | x) of labelled ones.
    """

    labelled: Tensor
    unlabelled: Tensor
    cross_entropy: Tensor


class ClassConditionalVAE(Module):
    """The model of the module's docstring, of inputs ``(B, size_in)``; a subclass says what these are of an image, by
    :meth:`see` and :meth:`expected`, and their likelihood.

    Args:
        size_in: of an input.
        size_likelihood: of the parameters of p(x | y, z).
        num_classes: K.
        labelled_share: s, the labelled images' share of the training images.
        latent_dim: D.
        classifier_hidden: units of each hidden layer of q(y | x).
        encoder_hidden: of q(z | x, y).
        decoder_hidden: of p(x | y, z).
        act: the networks' activation.
        alpha: weight of the classification, as a multiple of N.
        lr: Adam's step size.
        betas: Adam's decay rates.
        weight_decay: coupled weight decay; a N(0, 1) prior on the weights is 1 / number of training images.
        lr_decay: ``cosine`` to zero over the budget, or ``none``.
    """

    supervision = SEMI_SUPERVISED
    compiles = False
    several_processes = False

    def __init__(
        self,
        size_in: int,
        size_likelihood: int,
        num_classes: int,
        labelled_share: float,
        latent_dim: int = 50,
        classifier_hidden: list[int] = (500,),
        encoder_hidden: list[int] = (500,),
        decoder_hidden: list[int] = (500,),
        act: str = "relu",
        alpha: float = 0.1,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        lr_decay: str = "cosine",
    ):
        super().__init__()
        require_one_of(LR_DECAYS, **{"model.lr_decay": lr_decay})
        require_positive(**{"model.num_classes": num_classes, "model.latent_dim": latent_dim, "model.lr": lr})
        require_positive(**{f"model.classifier_hidden[{i}]": size for i, size in enumerate(classifier_hidden)})
        require_non_negative(**{"model.alpha": alpha, "model.weight_decay": weight_decay})
        require_betas(betas)
        if not 0 < labelled_share < 1:
            raise ValueError(
                f"labelled_share={labelled_share}: some of the training images must be labelled, and not all"
            )
        self.num_classes, self.labelled_share, self.latent_dim = num_classes, labelled_share, latent_dim
        self.alpha, self.lr, self.betas = alpha, lr, tuple(map(float, betas))
        self.weight_decay, self.lr_decay = weight_decay, lr_decay
        self.classifier = mlp([size_in, *classifier_hidden, num_classes], act)
        self.encoder = ClassConditionalMLP(size_in, num_classes, encoder_hidden, 2 * latent_dim, act)
        self.decoder = ClassConditionalMLP(latent_dim, num_classes, decoder_hidden, size_likelihood, act)
        init_xavier(self)

    # What a subclass says of its inputs

    def see(self, examples: Tensor) -> Tensor:
        """A batch's examples as the networks see them this time, drawn afresh at each sight: ``(B, size_in)``."""
        raise NotImplementedError(f"{type(self).__name__} has no see()")

    def expected(self, examples: Tensor) -> Tensor:
        """The mean of that over sights: ``(B, size_in)``."""
        raise NotImplementedError(f"{type(self).__name__} has no expected()")

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | y, z) in nats, summed over the last dimension, from the decoder's output for y and z.

        ``(B,)`` of inputs ``(B, size_in)`` and outputs ``(B, ...)``; of all classes, ``(B, 1, size_in)`` and
        ``(B, K, ...)``, it is ``(B, K)``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no log_likelihood()")

    def examples(self, images: Tensor) -> Tensor:
        """What stands in batches for images ``(B, 1, H, W)`` in [0, 1]."""
        return images

    # The model

    def log_classes(self, x: Tensor) -> Tensor:
        """log q(y | x) of every class, ``(B, K)`` in float32."""
        return self.classifier(x).float().log_softmax(1)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, y), each ``(B, D)`` in float32; without classes of each, ``(B, K, D)``."""
        return self.encoder(x, y).float().chunk(2, dim=-1)

    def negative_bound(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """L(x, y) with one z each, ``(B,)``; without classes that of every class, ``(B, K)`` (eq. 6)."""
        mean, log_var = self.posterior(x, y)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        output = self.decoder(z, y).float()
        log_likelihood = self.log_likelihood(x if y is not None else x[:, None], output)
        return gaussian_kl(mean, log_var).sum(-1) - log_likelihood + math.log(self.num_classes)

    def marginal_bound(self, x: Tensor) -> Tensor:
        """U(x), the class marginalised: ``(B,)`` (eq. 7)."""
        log_q = self.log_classes(x)
        return (log_q.exp() * (self.negative_bound(x) + log_q)).sum(1)

    def forward(self, labelled: tuple[Tensor, Tensor], unlabelled: Tensor) -> Terms:
        """Of inputs ``(B_l, size_in)`` with their classes ``(B_l,)``, and of inputs ``(B_u, size_in)``."""
        x, y = labelled
        cross_entropy = F.nll_loss(self.log_classes(x), y)
        return Terms(self.negative_bound(x, y).mean(), self.marginal_bound(unlabelled).mean(), cross_entropy)

    def loss(self, terms: Terms) -> Tensor:
        """J / N, 0-d (eq. 9)."""
        share = self.labelled_share
        return share * terms.labelled + (1 - share) * terms.unlabelled + self.alpha * terms.cross_entropy

    # After the fit, in evaluation mode

    @torch.no_grad()
    def class_probabilities(self, images: Tensor) -> Tensor:
        """q(y | x) of images ``(B, 1, H, W)`` in [0, 1]: ``(B, K)``, as they are on average over sights."""
        return self.log_classes(self.expected(self.examples(images))).exp()

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Codes of images, ``(B, D)``: the mean of q(z | x), which is sum_y q(y | x) mu(x, y).

        They are what the class leaves to be said: a classifier on them has little to go by.
        """
        x = self.expected(self.examples(images))
        return torch.einsum("bk,bkd->bd", self.log_classes(x).exp(), self.posterior(x)[0])

    @torch.no_grad()
    def style(self, images: Tensor, y: Tensor) -> Tensor:
        """The mean of q(z | x, y) of images and the classes ``(B,)`` they are of: ``(B, D)``."""
        return self.posterior(self.expected(self.examples(images)), y)[0]

    def generate_class(self, z: Tensor, y: Tensor) -> Tensor:
        """The mean image of each code ``(B, D)`` and class ``(B,)``: ``(B, 1, H, W)``."""
        raise NotImplementedError(f"{type(self).__name__} has no generate_class()")

    # Training

    def on_train_epoch_start(self) -> None:
        self._sums, self._batches = torch.zeros(len(Terms._fields), device=self.device), 0

    def training_step(self, batch: NamedTuple, batch_idx: int) -> Tensor:
        """Of a batch with ``labelled``, examples and classes, and ``unlabelled``, whose targets are not looked at."""
        (labelled, targets), (unlabelled, _) = batch.labelled, batch.unlabelled
        terms = self((self.see(labelled), targets), self.see(unlabelled))
        self._sums += torch.stack(terms).detach()
        self._batches += 1
        loss = self.loss(terms)
        if batch_idx % self.trainer.log_every_n_steps == 0:
            self.log("step/loss", loss.detach(), prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        labelled, unlabelled, cross_entropy = self._sums / self._batches
        if not torch.isfinite(self._sums).all():
            raise RuntimeError("the bounds are no longer finite: training has diverged; lower model.lr")
        self.log_dict(
            {"train/elbo": -unlabelled, "train/labelled_elbo": -labelled, "train/cross_entropy": cross_entropy}
        )

    def configure_optimizers(self):
        optimizer = adam(self, self.parameters(), self.lr, betas=self.betas, weight_decay=self.weight_decay)
        if self.lr_decay == "none":
            return optimizer
        return [optimizer], [cosine_decay(optimizer, int(self.trainer.estimated_stepping_batches))]

    # Validation and test, in float32 whatever the precision of the training

    def _evaluate(self, stage: str, batch: tuple[Tensor, Tensor]) -> None:
        examples, targets = batch
        with torch.autocast(self.device.type, enabled=False):
            log_q = self.log_classes(self.expected(examples))
            x = self.see(examples)
            terms = {
                f"{stage}/accuracy": (log_q.argmax(1) == targets).float().mean(),
                f"{stage}/cross_entropy": F.nll_loss(log_q, targets),
                f"{stage}/elbo": -self.marginal_bound(x).mean(),
                f"{stage}/labelled_elbo": -self.negative_bound(x, targets).mean(),
            }
        self.log_dict(terms, prog_bar=stage == "val", batch_size=len(targets))

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate("test", batch)
