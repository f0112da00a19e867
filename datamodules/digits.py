"""The digits that ship with scikit-learn."""

import numpy as np
import torch

from datamodules.images import SPLIT_SEED, Images, Split

TEST_IMAGES = 500  # of the 1,797


class Digits(Images):
    """The 1,797 handwritten digits of 8x8 that ship with scikit-learn (Alpaydin & Kaynak 1998): no download.

    There is no official division: a fixed seed sets 500 aside for testing. Pixels 0..16 are scaled to 0..255.
    """

    class_names = [str(digit) for digit in range(10)]

    def __init__(self, batch_size: int = 64, val_size: int = 197, **kwargs):
        super().__init__(batch_size, val_size, **kwargs)

    def read(self) -> tuple[Split, Split]:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))[:, None]
        targets = torch.from_numpy(bunch.target.astype(np.int64))
        order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(images)))
        test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
        return Split(images[train], targets[train]), Split(images[test], targets[test])
