"""Scores of generated images at the ends of epochs, on a budget, and what they are measured by."""

import math

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.observers.watching import last_epoch
from datamodules.checks import require_whole
from datamodules.images import Split, to_unit_range
from metrics import failures, pixels, samples
from metrics.limits import Limits
from metrics.pixels import PixelReference
from metrics.samples import Reference, class_histogram, score

NAMES = samples.NAMES + pixels.NAMES  # of the scores
NOISE_SEED = 1  # of the noise that is scored: the same in every epoch, so that only the generator differs
SUBSET_SEED = 2  # of the images that are compared: their order in the files is not random
BATCH = 500


class Yardstick:
    """Real images to score against, and the floor.

    Args:
        scorer: gives features and class probabilities of images (``describe``).
        real: images that the generator was not trained on.
        train: all images that it was trained on, for the floor, and to find copies of them.
        samples: N, how many images are compared with as many.
        device: where the scorer computes.

    Raises:
        ValueError: where there is no scorer.

    Attributes:
        floor: the scores of training images.
        shares: of each class among the real images, ``held_out`` and ``training``, as the scorer sees them.
    """

    def __init__(
        self, scorer: pl.LightningModule | None, real: Split, train: Split, samples: int, device: torch.device
    ):
        if scorer is None:
            raise ValueError("scores need scorer=, a network that was trained to tell the data set's classes apart")
        self.scorer = scorer.to(device)
        self.samples = min(samples, len(real.images), len(train.images))
        everything = train.images
        real, train = _drawn(real, self.samples), _drawn(train, self.samples)
        held_out = to_unit_range(real.images.to(device))
        self.reference = Reference.of(*self._describe(held_out))
        self.pixels = PixelReference.of(held_out, everything)
        self._train = Split(to_unit_range(train.images.to(device)), train.targets.to(device))
        described = self._describe(self._train.images)
        self.floor = score(self.reference, *described) | self.pixels.score(self._train.images)
        training = class_histogram(described[1])
        self.shares = {"held_out": self.reference.class_histogram.tolist(), "training": training.tolist()}

    def score_failures(self) -> dict[str, dict[float, dict[str, float]]]:
        """The scores of each synthetic failure at each of its strengths, made of training images."""
        return {
            name: {strength: self.score(failures.make(name, *self._train, strength)) for strength in strengths}
            for name, strengths in failures.STRENGTHS.items()
        }

    def measures(self) -> dict:
        """What a verdict's limits are taken from (``metrics.limits``): ``floor``, ``failures``, ``shares``."""
        return {"floor": self.floor, "failures": self.score_failures(), "shares": self.shares}

    def _describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.scorer.describe(images, BATCH)

    def score(self, images: Tensor) -> dict[str, float]:
        """The scores of images ``(N, 1, H, W)`` in [0, 1], by ``NAMES``; every one NaN if a pixel is not finite."""
        images = images.to(self.pixels.training.device)
        return score(self.reference, *self._describe(images)) | self.pixels.score(images)

    def score_generator(self, module: pl.LightningModule, averaged: bool) -> dict[str, float]:
        """The scores of as many samples of an adversarial model, from a fixed draw of the noise it learns from."""
        noise = module.draw_noise(self.samples, torch.Generator().manual_seed(NOISE_SEED))
        batches = noise.to(module.device).split(BATCH)
        return self.score(torch.cat([module.generate(z, averaged) for z in batches]))


def _drawn(split: Split, count: int) -> Split:
    order = torch.randperm(len(split.images), generator=torch.Generator().manual_seed(SUBSET_SEED))[:count]
    order = order.to(split.images.device)
    return Split(split.images[order], split.targets[order])


class EpochScores(pl.Callback):
    """Scores the generator and its average against held-out training images; the test set is not looked at.

    It chooses the best checkpoint: the averaged generator of least FCD.

    Args:
        samples: generated images, and held-out ones, that are compared.
        every_n_epochs: epochs between two scores; the last is always scored.
        scorer: the data set's scorer network.

    Attributes:
        score: of the epoch that just ended, the less, the better; infinite where the generator diverged, None where
            the epoch was not scored.
    """

    score: float | None = None

    def __init__(self, samples: int = 2000, every_n_epochs: int = 1, scorer: pl.LightningModule | None = None):
        require_whole(**{"scores.samples": samples, "scores.every_n_epochs": every_n_epochs})
        self.samples, self.every_n_epochs, self.scorer = samples, every_n_epochs, scorer
        self._epochs: list[dict] = []
        self._yardstick: Yardstick | None = None
        self._measures: dict = {}

    @classmethod
    def identity(cls, config: dict) -> dict:
        """What decides the scores that jobs read, and which checkpoint is the best one: all of it."""
        return dict(config)

    def state_dict(self) -> dict:
        """``epochs``: for each its number, ``updates``, ``images_seen``, and the scores ``averaged`` and ``raw``;
        ``floor``, ``failures`` and ``shares``, which a verdict's limits are taken from, beside them."""
        return {"epochs": self._epochs, **self._measures}

    def load_state_dict(self, state: dict) -> None:
        self._epochs = state["epochs"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule
        self._yardstick = yard = Yardstick(self.scorer, data.val, data.train, self.samples, pl_module.device)
        self._measures = {"samples": yard.samples} | yard.measures()
        Limits.of(self._measures)  # refuses a scorer too weak for a verdict, in time

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        self.score = None
        if epoch % self.every_n_epochs and not last_epoch(trainer):
            return
        scores = {
            name: self._yardstick.score_generator(pl_module, averaged)
            for name, averaged in {"averaged": True, "raw": False}.items()
        }
        self.score = ranked(scores["averaged"])
        seen = trainer.global_step * trainer.datamodule.batch_size * pl_module.batches_per_step * trainer.world_size
        self._epochs.append({"epoch": epoch, "updates": trainer.global_step, "images_seen": seen} | scores)
        pl_module.log_dict({f"score/{name}": value for name, value in scores["averaged"].items()}, logger=False)
        for logger in trainer.loggers:
            for name, values in scores.items():
                shown = {f"scores_{name}/{key}": value for key, value in values.items()}
                logger.log_metrics(shown, step=trainer.global_step)


def best_epoch(state: dict) -> int | None:
    """Of what :class:`EpochScores` kept, the number of the first epoch with the least score; None if all diverged."""
    best = min(state["epochs"], key=lambda entry: ranked(entry["averaged"]))
    return best["epoch"] if math.isfinite(ranked(best["averaged"])) else None


def ranked(scores: dict[str, float]) -> float:
    """FCD, of which less is better; infinite where any score is no number: the verdict calls that diverged."""
    return scores["fcd"] if all(map(math.isfinite, scores.values())) else math.inf
