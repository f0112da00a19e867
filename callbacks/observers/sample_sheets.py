"""What an adversarial fit looks like: its samples from fixed noise epoch by epoch, and what they may be copies of."""

import math
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.drawing import mosaics
from callbacks.drawing.mosaics import as_uint8, beside, captioned, cut, load_png, mosaic, stacked, zoom_for
from callbacks.drawing.output import save_png, show, write_whole
from callbacks.fitted import Fitted
from callbacks.observers.watching import last_epoch
from datamodules.checks import require_whole
from datamodules.images import to_unit_range
from metrics.neighbours import squared_distances

SHEET_IMAGES, SHEET_COLUMNS = 64, 8
STRIP_ROWS = 40
INTERPOLATIONS, INTERPOLATION_COLUMNS = 8, 14
WIDE = 16  # images in a row of the strip and of the nearest
GAP = 3  # between images: strokes that reach the border stay apart
DISTANCES = 256  # samples, and held-out images, whose nearest training image makes the medians
CHUNK = 5000  # training images compared at a time: 31 MB of 28x28 in float64
ANIMATION_CELL = 56  # largest side of an image in the animation: 28x28 at 2 screen pixels a pixel, 8x8 at 7


class SampleSheets(pl.Callback):
    """Draws the samples of every few epochs, and after the fit everything there is to see.

    All samples come from the model's ``fixed_noise``, so that sheets of different epochs compare place by place.

    Args:
        every_n_epochs: epochs between the sheets; the last epoch always has one.
        fit_folder: where ``epochs/0007.png`` and ``pictures/*`` go; ``None`` draws to the loggers only.
    """

    only_watches = True  # no number that is read later depends on it

    def __init__(self, every_n_epochs: int = 1, fit_folder: Path | None = None):
        require_whole(every_n_epochs=every_n_epochs)
        self.every_n_epochs = every_n_epochs
        self.folder = fit_folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if not trainer.is_global_zero or (epoch % self.every_n_epochs and not last_epoch(trainer)):
            return
        averaged, raw = (pl_module.generate(pl_module.fixed_noise, averaged=which) for which in (True, False))
        pair = beside(_sheet(averaged), _sheet(real_images(trainer.datamodule)))
        shown = {"samples/averaged_left_real_right": pair, "samples/raw": _sheet(raw)}
        show(trainer.loggers, shown, trainer.global_step)
        if self.folder:
            # Just the pixels: the strip and the animation are made of these files, also of a resumed fit.
            (self.folder / "epochs").mkdir(parents=True, exist_ok=True)
            save_png(mosaic(averaged, SHEET_COLUMNS, zoom=1, gap=0), self.folder / "epochs" / f"{epoch:04d}.png")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        pictures = self.draw(pl_module, trainer.datamodule)
        shown = {f"pictures/{name}": picture for name, picture in pictures.items()}
        show(trainer.loggers, shown, trainer.global_step)
        if self.folder:
            self.save(pictures, trainer.datamodule.image_shape)

    def draw(self, module: pl.LightningModule, datamodule: pl.LightningDataModule) -> dict[str, Tensor]:
        """Everything there is to see of a model, as canvases uint8 ``(H, W)``. Writes nothing.

        Returns:
            ``samples``, ``samples_raw``, ``interpolations``, ``nearest``; and ``strip`` if the folder holds epochs.
        """
        real = _sheet(real_images(datamodule))
        text = "generator, fixed noise; right: training images"
        pictures = {
            "samples" + suffix: captioned(
                beside(_sheet(module.generate(module.fixed_noise, averaged)), real), f"left: {name} {text}"
            )
            for suffix, name, averaged in (("", "averaged", True), ("_raw", "raw", False))
        }
        pictures["interpolations"] = interpolations(module)
        pictures["nearest"] = nearest_picture(module, datamodule)
        if epochs := self.epochs():
            pictures["strip"] = strip(epochs, *datamodule.image_shape[1:])
        return pictures

    def save(self, pictures: dict[str, Tensor], image_shape: tuple[int, int, int]) -> list[Path]:
        """Writes the pictures of :meth:`draw` as ``pictures/<name>.png``, and ``pictures/epochs.gif`` of the epochs'
        files; returns the files. Images are ``image_shape``, ``(1, h, w)``."""
        folder = self.folder / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{name}.png" for name in pictures]
        for file, picture in zip(files, pictures.values(), strict=True):
            save_png(picture, file)
        if epochs := self.epochs():

            def frame(epoch: int) -> Tensor:
                return _sheet(cut(load_png(epochs[epoch]), *image_shape[1:]), cell=ANIMATION_CELL)

            files.append(folder / "epochs.gif")
            write_whole(files[-1], lambda temporary: mosaics.save_animation(list(epochs), frame, temporary))
        return files

    def redraw(self, fitted: Fitted) -> list[Path]:
        """Draws everything into the fit's folder again; returns the files."""
        return self.save(self.draw(fitted.model, fitted.datamodule), fitted.datamodule.image_shape)

    def epochs(self) -> dict[int, Path]:
        """The epochs that have a file of samples, in order."""
        files = (self.folder / "epochs").glob("[0-9]*.png") if self.folder else ()
        return dict(sorted((int(file.stem), file) for file in files if file.is_file()))


def _sheet(images: Tensor, columns: int = SHEET_COLUMNS, cell: int = mosaics.CELL) -> Tensor:
    """A mosaic of ``(N, 1, h, w)`` at this project's pixel scale for images of that size."""
    return mosaic(images, columns, zoom_for(*images.shape[2:], cell), GAP)


def real_images(datamodule: pl.LightningDataModule) -> Tensor:
    """The training images that stand beside samples, uint8 ``(64, 1, h, w)``: the same in every epoch."""
    return datamodule.train.images[:SHEET_IMAGES]


def strip(epochs: dict[int, Path], height: int, width: int) -> Tensor:
    """One row of samples an epoch, the same noises in each, from the epochs' files; evenly thinned to 40 rows."""
    shown = mosaics.thinned(list(epochs), STRIP_ROWS)
    rows = [cut(load_png(epochs[epoch]), height, width)[:WIDE] for epoch in shown]
    labels = mosaics.row_labels([f"epoch {epoch}" for epoch in shown], zoom_for(height, width) * height + GAP)
    sheet = _sheet(torch.cat(rows), len(rows[0]))
    return captioned(beside(labels[: len(sheet)], sheet, gap=0), "averaged generator, the same noises in each row")


def interpolations(module: pl.LightningModule) -> Tensor:
    """Rows of the averaged generator's images on the ways from fixed noises i to 8 + i: a canvas."""
    starts, ends = module.fixed_noise[: 2 * INTERPOLATIONS].chunk(2)
    points = module.noise.path(starts, ends, INTERPOLATION_COLUMNS).flatten(0, 1)
    sheet = _sheet(module.generate(points), INTERPOLATION_COLUMNS)
    return captioned(sheet, f"averaged generator, each row on the way from one {module.noise_name} noise to another")


def nearest(images: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest training image of each image, by L2 over pixels.

    Args:
        images: ``(N, 1, h, w)`` in [0, 1].
        train: ``(M, 1, h, w)`` uint8.

    Returns:
        their indices ``(N,)`` and distances ``(N,)`` in float64: roots of summed squares of pixels in [0, 1].
    """
    points = images.double().flatten(1)
    best = torch.full((len(points),), math.inf, dtype=torch.float64, device=points.device)
    index = torch.zeros(len(points), dtype=torch.long, device=points.device)
    for start in range(0, len(train), CHUNK):
        chunk = train[start : start + CHUNK].to(points.device).double().flatten(1) / 255
        for rows, squared in squared_distances(points, chunk):
            least, at = squared.min(1)
            index[rows] = torch.where(least < best[rows], start + at, index[rows])
            best[rows] = torch.minimum(least, best[rows])
    found = train[index.to(train.device)].to(points.device).double().flatten(1) / 255
    # from differences once more: the matrix product leaves 1e-7 of a copy's distance, which is 0
    return index, torch.linalg.vector_norm(points - found, dim=1)


def nearest_picture(module: pl.LightningModule, datamodule: pl.LightningDataModule) -> Tensor:
    """Rows of samples and below each its nearest training image, with the medians that tell of memorisation."""
    own = torch.Generator().manual_seed(1)
    more = module.draw_noise(DISTANCES - len(module.fixed_noise), own).to(module.device)
    samples = module.generate(torch.cat([module.fixed_noise, more]))
    train = datamodule.train.images
    index, distances = nearest(samples, train)
    held_out = to_unit_range(datamodule.val.images[:DISTANCES].to(module.device))
    median, expected = distances.median(), nearest(held_out, train)[1].median()
    shown, found = as_uint8(samples[:SHEET_IMAGES]), train[index[:SHEET_IMAGES].to(train.device)].cpu()
    pairs = zip(shown.split(WIDE), found.split(WIDE), strict=True)
    sheet = stacked(*(_sheet(torch.cat(pair), len(pair[0])) for pair in pairs), gap=12)
    return captioned(
        sheet,
        f"averaged generator, and under each sample the nearest of {len(train)} training images: least L2 distance "
        f"over pixels in [0, 1], where 0 is a copy\nmedian distance to the nearest training image: samples "
        f"{median:.2f}, held-out images {expected:.2f}; samples far nearer than these would be memorised",
    )
