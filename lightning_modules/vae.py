r"""The variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114).

An image x is thought to arise from a code z that nobody sees:

    z ~ N(0, I)                       the prior over codes, D of them
    x ~ p(x | z), parameter f(z)      Bernoulli(sigmoid f(z)) per pixel, or N(f(z), sigma^2)

A decoder computes f; an encoder the approximate posterior q(z | x) = N(mu(x), diag sigma(x)^2). Both are trained to
maximise the evidence lower bound, here in nats per image with the sum over pixels,

    ELBO = E_q [log p(x | z)] - KL(q(z | x) || N(0, I)),   KL = 1/2 sum_d (mu_d^2 + sigma_d^2 - 1 - log sigma_d^2),

with one reparameterised sample z = mu + sigma * eps. The loss is reconstruction + beta KL (Higgins et al. 2017;
beta = 1 is the bound itself); the ELBO that is logged never has a beta. With a corruption, the encoder sees
a corrupted image and the decoder must explain the clean one (Im et al. 2017, arXiv 1511.06406): codes that ignore the
corruption. Only training corrupts.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from datamodules.checks import require_non_negative, require_one_of, require_positive
from lightning_modules.checks import require_betas
from lightning_modules.module import Module
from lightning_modules.networks import init_xavier
from lightning_modules.optimizers import LR_DECAYS, adam, cosine_decay

LIKELIHOODS = ("bernoulli", "gaussian")
ACTIVE_VARIANCE = 0.01  # a unit is active if the variance of its posterior mean over images exceeds this (IWAE paper)


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, 1)) in nats, elementwise (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def active_units(means: Tensor) -> Tensor:
    """Which dimensions of the codes ``(N, D)`` carry information: boolean ``(D,)`` (Burda et al. 2016, section 5.2)."""
    return means.var(dim=0) > ACTIVE_VARIANCE


class Terms(NamedTuple):
    """What a loss is made of, of B images and one sample of the posterior of each.

    reconstruction: ``-log p(x | z)`` in nats, ``(B,)``.
    kl: KL of each dimension in nats, ``(B, D)``.
    mean: the codes, ``(B, D)``.
    z: the samples, ``(B, D)``.
    """

    reconstruction: Tensor
    kl: Tensor
    mean: Tensor
    z: Tensor


class VAE(Module):
    """A VAE with Gaussian posterior; see the module's docstring for the model. Another loss is another :meth:`loss`.

    Args:
        encoder: maps ``(B, C, H, W)`` to ``(B, 2 D)``, means and log variances.
        decoder: maps ``(B, D)`` to the likelihood's parameter ``(B, C, H, W)``, logits or means.
        latent_dim: D.
        likelihood: ``bernoulli`` or ``gaussian``.
        sigma: standard deviation of the Gaussian likelihood, in units of the pixel range.
        binarize: redraw x ~ Bernoulli(pixel) whenever an image is seen (dynamic binarisation), so that the Bernoulli
            likelihood is one; on grey pixels it is a cross-entropy (:attr:`nll_name`).
        beta: weight of the KL in the loss.
        warmup_epochs: epochs over which that weight rises linearly from 0.
        corruption: what the encoder's training images go through, or ``None``.
        lr: Adam's step size.
        betas: Adam's decay rates.
        weight_decay: coupled weight decay; a N(0, 1) prior on the weights is 1 / number of training images.
        lr_decay: ``cosine`` to zero over the budget, or ``none``.
        nll_samples: importance samples per test image for :meth:`log_marginal`.
        nll_images: test images that is taken over, the first ones; ``None`` for all.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_dim: int,
        likelihood: str = "bernoulli",
        sigma: float = 0.1,
        binarize: bool = False,
        beta: float = 1.0,
        warmup_epochs: float = 0.0,
        corruption: nn.Module | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        lr_decay: str = "cosine",
        nll_samples: int = 100,
        nll_images: int | None = None,
    ):
        super().__init__()
        require_one_of(LIKELIHOODS, **{"model.likelihood": likelihood})
        require_one_of(LR_DECAYS, **{"model.lr_decay": lr_decay})
        if binarize and likelihood != "bernoulli":
            raise ValueError("model.binarize=true: binary images need model.likelihood=bernoulli")
        positive = {"latent_dim": latent_dim, "sigma": sigma, "lr": lr, "nll_samples": nll_samples}
        positive |= {"nll_images": nll_images} if nll_images is not None else {}
        require_positive(**{f"model.{name}": value for name, value in positive.items()})
        from_zero = {"beta": beta, "warmup_epochs": warmup_epochs, "weight_decay": weight_decay}
        require_non_negative(**{f"model.{name}": value for name, value in from_zero.items()})
        require_betas(betas)
        if encoder is None or decoder is None:
            raise ValueError("model.encoder and model.decoder: a VAE needs both")
        self.encoder, self.decoder, self.corruption = encoder, decoder, corruption
        self.latent_dim, self.likelihood, self.sigma, self.binarize = latent_dim, likelihood, sigma, binarize
        self.beta, self.warmup_epochs = beta, warmup_epochs
        self.lr, self.betas = lr, tuple(map(float, betas))
        self.weight_decay, self.lr_decay = weight_decay, lr_decay
        self.nll_samples, self.nll_images = nll_samples, nll_images
        init_xavier(self)

    @classmethod
    def identity(cls, config: dict) -> dict:
        """The part of the configuration that decides the weights: all but what only the test reads."""
        return {k: v for k, v in config.items() if k not in ("nll_samples", "nll_images")}

    @property
    def nll_name(self) -> str:
        """What minus :meth:`log_marginal` is, by which name it is logged; all in nats per image.

        ``nll``: of binarised images, the negative log-likelihood, from above. ``pixel_cross_entropy``: of grey images
        under a Bernoulli likelihood, which is no density of theirs (Loaiza-Ganem & Cunningham 2019, arXiv 1907.06845);
        it is at least the pixels' own entropy. ``density_nll``: of a density on pixels in [0, 1]; it depends on that
        unit, and may be negative.
        """
        if self.likelihood == "gaussian":
            return "density_nll"
        return "nll" if self.binarize else "pixel_cross_entropy"

    # The model

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), both ``(B, D)`` in float32."""
        return self.encoder(x).float().chunk(2, dim=1)

    def encode(self, x: Tensor) -> Tensor:
        """The codes of images: the posterior means, ``(B, D)``."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """The mean image of each code, ``(B, C, H, W)``."""
        output = self.decoder(z).float()
        return output.sigmoid() if self.likelihood == "bernoulli" else output

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z) in nats, summed over pixels: ``(B,)``, from the decoder's output for z."""
        if self.likelihood == "bernoulli":
            pixels = -F.binary_cross_entropy_with_logits(output, x, reduction="none")
        else:
            pixels = -0.5 * ((x - output) / self.sigma).square() - math.log(self.sigma * math.sqrt(2 * math.pi))
        return pixels.flatten(1).sum(1)

    def forward(self, x: Tensor) -> Terms:
        """Of images as they are to be explained, with one z ~ q each."""
        corrupted = self.corruption(x) if self.training and self.corruption is not None else x
        mean, log_var = self.posterior(corrupted)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        reconstruction = -self.log_likelihood(x, self.decoder(z).float())
        return Terms(reconstruction, gaussian_kl(mean, log_var), mean, z)

    def loss(self, terms: Terms, weight: float) -> Tensor:
        """What training descends, 0-d: the negative ELBO, its KL weighted; ``weight`` is beta, after its warm-up."""
        return terms.reconstruction.mean() + weight * terms.kl.sum(1).mean()

    def log_marginal(self, x: Tensor, samples: int) -> Tensor:
        """The importance-weighted bound on log p(x) with K samples from q (Burda et al. 2016, eq. 8): ``(B,)``, nats.

        It rises to log p(x) as K grows; what p is, :attr:`nll_name` says. Nothing is differentiated.
        """
        with torch.no_grad():
            mean, log_var = self.posterior(x)
            std = (0.5 * log_var).exp()
            total = x.new_full((len(x),), -math.inf)
            for _ in range(samples):
                eps = torch.randn_like(mean)
                z = mean + std * eps
                # log p(z) - log q(z | x); the constants of the two normal densities cancel
                prior_ratio = 0.5 * (eps.square() - z.square() + log_var).sum(1)
                total = torch.logaddexp(total, self.log_likelihood(x, self.decoder(z).float()) + prior_ratio)
            return total - math.log(samples)

    def see(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The images of a batch as the likelihood is to see them, binarised afresh if so configured."""
        x = batch[0]
        return (torch.rand_like(x) < x).to(x.dtype) if self.binarize else x  # twice as fast as torch.bernoulli on a CPU

    # Training

    def kl_weight(self, epochs: float) -> float:
        """The KL's weight in the loss after that many epochs."""
        return self.beta * min(1.0, epochs / self.warmup_epochs) if self.warmup_epochs else self.beta

    def on_train_epoch_start(self) -> None:
        self._sums, self._batches = torch.zeros(2, device=self.device), 0

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        terms = self(self.see(batch))
        means = torch.stack([terms.reconstruction.detach().mean(), terms.kl.detach().sum(1).mean()])
        self._sums += means
        self._batches += 1
        if batch_idx % self.trainer.log_every_n_steps == 0:
            self.log("step/negative_elbo", means.sum(), prog_bar=True)
        return self.loss(terms, self.kl_weight(self.current_epoch + batch_idx / self.trainer.num_training_batches))

    def on_train_epoch_end(self) -> None:
        self._log_terms("train", *(self._sums / self._batches))  # fewer than an epoch's where the budget ends in one

    def _log_terms(self, stage: str, reconstruction: Tensor, kl: Tensor) -> None:
        self.log_dict(
            {f"{stage}/elbo": -(reconstruction + kl), f"{stage}/reconstruction": reconstruction, f"{stage}/kl": kl},
            prog_bar=stage == "val",
        )

    def configure_optimizers(self):
        optimizer = adam(self, self.parameters(), self.lr, betas=self.betas, weight_decay=self.weight_decay)
        if self.lr_decay == "none":
            return optimizer
        return [optimizer], [cosine_decay(optimizer, int(self.trainer.estimated_stepping_batches))]

    # Validation and test, in float32 whatever the precision of the training

    def _evaluate(self, batch: tuple[Tensor, Tensor], samples: int) -> None:
        with torch.autocast(self.device.type, enabled=False):
            x = self.see(batch)
            self._seen.append(self.forward(x)[:3])  # eager: self(x) would be compiled anew for this shape
            if samples:
                done = sum(len(n) for n in self._nll)
                part = x if self.nll_images is None else x[: max(0, self.nll_images - done)]
                if len(part):
                    self._nll.append(-self.log_marginal(part, samples))

    def _log_evaluation(self, stage: str) -> None:
        reconstruction, kl, means = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        if not torch.isfinite(reconstruction.sum() + kl.sum()):
            raise RuntimeError("the ELBO is no longer finite: training has diverged; lower model.lr or model.beta")
        active = active_units(means)
        self._log_terms(stage, reconstruction.mean(), kl.sum(1).mean())
        self.log(f"{stage}/active_units", active.sum().float())
        if self._nll:
            nll, name = torch.cat(self._nll), f"{stage}/{self.nll_name}"
            self.log_dict({name: nll.mean(), f"{name}_samples": float(self.nll_samples)})
            self.log(f"{name}_images", float(len(nll)))
        for logger in self.trainer.loggers:
            if hasattr(logger.experiment, "add_histogram"):
                logger.experiment.add_histogram(f"{stage}/kl_per_dimension", kl.mean(0), self.trainer.global_step)
        if active.sum() < max(1, 0.02 * self.latent_dim) and not self._in_first_half():
            rank_zero_warn(
                f"POSTERIOR COLLAPSE: {int(active.sum())} of {self.latent_dim} latent units are active (variance of "
                f"the posterior means over {ACTIVE_VARIANCE}; Burda et al. 2016), the KL is {kl.sum(1).mean():.2f} "
                "nats: the codes may say little about the images. Lower model.beta or the learning rate, or raise "
                "model.warmup_epochs."
            )

    def _in_first_half(self) -> bool:
        """Of its training, where a posterior may well be collapsed still."""
        trainer = self.trainer
        return trainer.state.fn == "fit" and 2 * trainer.global_step < trainer.estimated_stepping_batches

    def on_validation_epoch_start(self) -> None:
        self._seen, self._nll = [], []

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate(batch, samples=0)

    def on_validation_epoch_end(self) -> None:
        self._log_evaluation("val")

    def on_test_epoch_start(self) -> None:
        self._seen, self._nll = [], []

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self._evaluate(batch, samples=self.nll_samples)

    def on_test_epoch_end(self) -> None:
        self._log_evaluation("test")
