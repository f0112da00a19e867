"""What a VAE's fit looks like: reconstructions, samples, the codes and their KL, in the loggers and as PNG files.

Samples are of two kinds. With beta < 1 the codes of images fill little of the prior, and what is decoded from the prior
looks like nothing: this is shown, and beside it samples from a density fitted to the codes after the training (ex-post
density estimation, Ghosh et al. 2020, "From Variational to Deterministic Autoencoders", section 4).
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.drawing.output import pixels, save_png, show
from callbacks.fitted import Fitted
from callbacks.observers.watching import evaluating, last_epoch
from datamodules.checks import require_whole
from datamodules.images import to_unit_range
from lightning_modules.vae import gaussian_kl

if TYPE_CHECKING:  # what draws is imported where it is drawn: a mistake, and a fit that is found, need none of it
    from matplotlib.figure import Figure

SHEET_IMAGES = 64
LATENT_POINTS = 3000
# Of Gaussians with full covariances, as the paper. FCD against validation images for one, ten, twenty, and for
# the prior: digits 33, 19, 15, 87; MNIST 551, 332, 325, 904 (reconstructions 319); Fashion-MNIST 192, 56, 57, 585.
COMPONENTS = 10
FITTED_CODES = 5000  # that the mixture is fitted to: seconds


def fixed_z(count: int, latent_dim: int) -> Tensor:
    """The codes every sheet of prior samples is decoded from, ``(count, latent_dim)``: the same in all epochs."""
    return torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(0))


class Pictures(pl.Callback):
    """Draws sheets every few epochs and the full set after the fit.

    Args:
        every_n_epochs: epochs between the sheets of reconstructions and prior samples.
        fit_folder: where ``pictures/*.png`` go; ``None`` draws to the loggers only.
        tsne: draw the codes by t-SNE too, which takes half a minute.
    """

    only_watches = True  # no number that is read later depends on it

    def __init__(self, every_n_epochs: int = 5, fit_folder: Path | None = None, tsne: bool = False):
        require_whole(every_n_epochs=every_n_epochs)
        self.every_n_epochs, self.tsne = every_n_epochs, tsne
        self.folder = fit_folder / "pictures" if fit_folder else None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0 and not last_epoch(trainer):
            show(trainer.loggers, sheets(pl_module, trainer.datamodule), trainer.global_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pictures = self._all(pl_module, trainer.datamodule)
        show(trainer.loggers, pictures, trainer.global_step)
        if self.folder:
            self._save(pictures)

    def redraw(self, fitted: Fitted) -> list[Path]:
        """Draws the full set into the fit's folder again; returns the files."""
        return self._save(self._all(fitted.model, fitted.datamodule))

    def _all(self, module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, np.ndarray]:
        figures = all_pictures(module, datamodule)
        figures |= {"codes_tsne": tsne_figure(module, datamodule)} if self.tsne else {}
        return {name: pixels(figure) for name, figure in figures.items()}

    def _save(self, pictures: dict[str, np.ndarray]) -> list[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        files = [self.folder / f"{name}.png" for name in pictures]
        for file, picture in zip(files, pictures.values(), strict=True):
            save_png(picture, file)
        return files


def fitted_codes(codes: np.ndarray, components: int, count: int) -> np.ndarray:
    """Draws from a mixture of Gaussians that is fitted to codes, the same draws each time.

    Args:
        codes: ``(N, d)``, of training images.
        components: of the mixture, each with a full covariance.
        count: of the draws.

    Returns:
        ``(count, d)`` in float32, in random order.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(components, reg_covar=1e-3, max_iter=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # further iterations change nothing that one sees
        drawn, _ = mixture.fit(codes.astype(np.float64)).sample(count)  # component by component
    return np.random.default_rng(0).permutation(drawn).astype(np.float32)


@torch.no_grad()
def fitted_samples(module: pl.LightningModule, datamodule: pl.LightningDataModule) -> "Figure":
    """Samples of the codes' own density in place of the prior: see :func:`fitted_codes`."""
    from callbacks.drawing.figures import sheet

    images = datamodule.train.images
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:FITTED_CODES]
    with evaluating(module):
        batches = images[chosen.to(images.device)].split(1000)
        codes = torch.cat([module.encode(to_unit_range(batch.to(module.device))) for batch in batches])
        components = min(COMPONENTS, max(1, len(codes) // 20))
        z = torch.from_numpy(fitted_codes(codes.cpu().numpy(), components, SHEET_IMAGES))
        samples = module.decode(z.to(module.device))
    mixture = f"{components} Gaussian{'s' * (components > 1)}"
    title = f"means of p(x | z), z from {mixture} fitted to the codes of {len(codes):,} training images"
    return sheet([samples], title=title)


@torch.no_grad()
def sheets(module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, "Figure"]:
    """Reconstructions of validation images (through the posterior means) and prior samples from a fixed z."""
    from callbacks.drawing.figures import sheet

    images = to_unit_range(datamodule.val.images[:SHEET_IMAGES].to(module.device))
    with evaluating(module):
        samples = module.decode(fixed_z(SHEET_IMAGES, module.latent_dim).to(module.device))
        reconstructed = module.decode(module.encode(images))
    prior = "means of p(x | z), z from the prior, N(0, I); the same z in every epoch"
    return {
        "reconstructions": sheet([images, reconstructed], title="validation images, and below each its reconstruction"),
        "prior_samples": sheet([samples], title=prior),
    }


@torch.no_grad()
def all_pictures(module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, "Figure"]:
    """The sheets, samples of the codes' own density, interpolations between pairs of validation images, the codes in
    the plane, and the KL's bars."""
    from sklearn.decomposition import PCA

    from callbacks.drawing.figures import kl_figure, latent_figure, sheet

    with evaluating(module):
        figures = sheets(module, datamodule) | {"samples": fitted_samples(module, datamodule)}
        images = to_unit_range(datamodule.val.images[:LATENT_POINTS].to(module.device))
        targets = datamodule.val.targets[:LATENT_POINTS].cpu().numpy()
        mean, log_var = module.posterior(images)
        figures["kl_per_dimension"] = kl_figure(gaussian_kl(mean, log_var).mean(0).cpu().numpy())

        steps = torch.linspace(0, 1, 14, device=module.device)[:, None]
        pairs = min(8, len(mean) // 2)
        starts, ends = mean[:pairs], mean[pairs : 2 * pairs]
        strips = torch.cat([module.decode(a + steps * (b - a)) for a, b in zip(starts, ends, strict=True)])
        figures["interpolations"] = sheet([strips], columns=14, title="between the codes of two validation images")

        names = datamodule.class_names
        if module.latent_dim == 2:
            figures["codes"] = latent_figure(mean.cpu().numpy(), targets, "codes of validation images", names)
            title = "means of p(x | z), z by normal quantiles"
            figures["manifold"] = sheet([_manifold(module)], columns=20, title=title)
        elif module.latent_dim > 2:
            pca = PCA(2).fit(mean.cpu().numpy())
            share = pca.explained_variance_ratio_.sum()
            title = f"codes of validation images, first two principal components ({share:.0%} of the variance)"
            figures["codes"] = latent_figure(pca.transform(mean.cpu().numpy()), targets, title, names)
    return figures


def _manifold(module: pl.LightningModule, side: int = 20) -> Tensor:
    """The decoded grid of a 2-D latent space, ``(side², 1, H, W)`` (Kingma & Welling 2014, figure 4)."""
    quantiles = torch.special.ndtri((torch.arange(side) + 0.5) / side)
    grid = torch.cartesian_prod(-quantiles, quantiles).flip(1)
    return module.decode(grid.to(module.device))


def tsne_figure(module: pl.LightningModule, datamodule: pl.LightningDataModule) -> "Figure":
    """The codes of the first validation images by t-SNE (van der Maaten & Hinton 2008); takes half a minute."""
    from sklearn.manifold import TSNE

    from callbacks.drawing.figures import latent_figure

    images = to_unit_range(datamodule.val.images[:LATENT_POINTS].to(module.device))
    with torch.no_grad(), evaluating(module):
        codes = module.encode(images).cpu().numpy()
    points = TSNE(random_state=0, perplexity=min(30, len(codes) // 4)).fit_transform(codes.astype(np.float32))
    targets = datamodule.val.targets[:LATENT_POINTS].cpu().numpy()
    names = datamodule.class_names
    return latent_figure(points, targets, "codes of validation images, t-SNE", names)
