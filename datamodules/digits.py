"""The digits that ship with scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

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
        # what load_digits() reads: to import it, with SciPy, takes a hundred times as long as to read the file
        file = Path(find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz"
        table = np.loadtxt(file, delimiter=",")
        images = torch.from_numpy(np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8)).reshape(-1, 1, 8, 8)
        targets = torch.from_numpy(table[:, -1].astype(np.int64))
        order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(images)))
        test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
        return Split(images[train], targets[train]), Split(images[test], targets[test])
