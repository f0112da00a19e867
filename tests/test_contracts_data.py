"""The contracts of data sets and distributions: ours keep them, and a class that breaks one is told which."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from contracts import check_dataset, check_distribution
from datamodules import distributions as d
from datamodules.batches import InMemory, whole_batch
from datamodules.digits import Digits
from datamodules.drawings import Drawing
from datamodules.idx import DataError
from datamodules.images import Images, Split
from datamodules.in_memory import InMemoryData
from datamodules.mnist import MNIST, FashionMNIST
from datamodules.plane import Plane


@pytest.mark.parametrize(
    "data",
    [
        lambda: Digits(),
        lambda: Digits(train_subset=100, label_seed=3),
        lambda: Digits(train_subset=77, labels="proportional"),
        lambda: Plane(d.Ring(), train_size=2000, val_size=300, test_size=400),
        lambda: Plane(d.Disjoint(), train_size=300, batch_size=300),
    ],
)
def test_our_data_sets_keep_it(data):
    check_dataset(data())


@pytest.mark.real_data
@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_the_real_data_sets_keep_it(data, kind):
    check_dataset(kind(root=data))


@pytest.mark.parametrize(
    "kind",
    [d.Parabola, d.Line, d.Ring, d.SwissRoll, d.Gaussians, d.Disjoint, d.EightGaussians, d.TwentyFiveGaussians],
)
def test_our_distributions_keep_it(kind):
    check_distribution(kind())


def test_drawings_and_mixtures_keep_it(tmp_path):
    (tmp_path / "a.csv").write_text("0,0\n4,1\n2,2\n2,2.5\n")
    check_distribution(Drawing(str(tmp_path / "a.csv")))
    check_distribution(d.Mixture([[0, 0], [3, 1]], [[1, 0.1], [0.2, 0.2]], weights=[3, 1]))


class Sound(Images):
    """Three classes of 6x5 pixels, 120 + 30 of them."""

    class_names = ["a", "b", "c"]

    def __init__(self, batch_size=10, val_size=20, **settings):
        super().__init__(batch_size, val_size, **settings)

    def read(self):
        rng = np.random.default_rng(0)
        sets = []
        for count in (120, 30):
            images = torch.from_numpy(rng.integers(0, 256, (count, 1, 6, 5), dtype=np.uint8))
            sets.append(Split(images, torch.arange(count) % 3))
        return sets[0], sets[1]


def test_a_strangers_class_keeps_it():
    check_dataset(Sound())


def told(check, instance) -> str:
    """The line by which an instance is refused."""
    with pytest.raises((AssertionError, DataError)) as error:
        check(instance)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x / 255, y), "gives training images as float32 (120, 1, 6, 5) where uint8 (N, 1, H, W) are due"),
        (lambda x, y: (x[:, 0], y), "gives training images as uint8 (120, 6, 5) where"),
        (lambda x, y: (x.expand(-1, 3, 6, 5), y), "gives training images as uint8 (120, 3, 6, 5) where"),
        (lambda x, y: (x.numpy(), y), "gives training images as a numpy array of uint8 (120, 1, 6, 5) where"),
        (lambda x, y: (x, y.int()), "gives training targets as int32 (120,) where int64 (N,) are due"),
        (lambda x, y: (x, y[:9]), "120 training images and 9 targets for them"),
        (lambda x, y: (x[:0], y[:0]), "no training images, read() gives uint8 (0, 1, 6, 5)"),
        (lambda x, y: (x[..., 1:], y), "training images are 6x4 and test images 6x5"),
        (lambda x, y: (x, y + 1), "training targets from 1 to 3 where 0 to 2 are due, for class_names has 3"),
        (lambda x, y: (x, y - 1), "training targets from -1 to 1 where 0 to 2 are due, for class_names has 3"),
        (lambda x, y: (x, y.clamp_max(1)), "no training image of class 2 (c); class_names has 3"),
        (lambda x, y: (x,), "read() gives a tuple of 2 where two (images, targets) pairs are due"),
    ],
)
def test_setup_tells_what_read_gives_that_is_not_as_due(change, message):
    training, test = Sound().read()
    data = type("Broken", (Sound,), {"read": lambda self: (change(*training), test)})()
    line = told(Images.setup, data)
    assert line.startswith("Broken: ") and message in line


def name_only(self, *names):
    return "".join(names).encode().hex()[:16].ljust(16, "0")


def overlapping(self):
    splits = Sound.divide(self)
    return splits | {"val": Split(*(tensor[:20] for tensor in splits["labelled"]))}


def validation_for_test(self):
    splits = Sound.divide(self)
    return splits | {"test": Split(splits["val"].images.flip(0), splits["val"].targets.flip(0))}


def unseeded(self):
    names = ("train", "val", "test", "labelled")
    return {name: Split(torch.randint(256, (20, 1, 6, 5)).byte(), torch.arange(20) % 3) for name in names}


def in_order(self):
    loader = DataLoader(InMemory(self.train), 10, collate_fn=whole_batch)
    loader.sampler.set_epoch = lambda epoch: None
    return loader


def never_stacked(self):
    kept, self.trainer = self.trainer, None
    loader = Sound.train_dataloader(self)
    self.trainer = kept
    return loader


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"class_names": []}, "has no class_names, a list of as many names as there are classes"),
        ({"class_names": ["a", "b"]}, "training targets from 0 to 2 where 0 to 1 are due, for class_names has 2"),
        ({"class_names": list("abcd")}, "no training image of class 3 (d); class_names has 4"),
        ({"class_counts": np.array([1, 2, 3])}, "class_counts are not those of labelled"),
        ({"fingerprint": lambda self, *names: "0" * 16}, "fingerprint() is the same for different splits"),
        ({"fingerprint": lambda self, *names: "xyz"}, "fingerprint() is not 16 hexadecimal digits: xyz"),
        ({"fingerprint": name_only}, "fingerprint() does not notice an example changed"),
        ({"divide": overlapping}, "20 of the examples in val are in train too"),
        ({"divide": validation_for_test}, "test is not the official test set"),
        ({"divide": unseeded}, "divide() gives another train at every call; draw by a fixed seed"),
        ({"offers": {}}, "offers {'image_shape': None, 'num_classes': None}, where models ask for"),
        ({"as_seen": staticmethod(lambda x: x)}, "as_seen() does not give float32"),
        ({"as_seen": staticmethod(lambda x: x.float())}, "as_seen() does not scale to [0, 1]"),
        ({"identity": classmethod(lambda cls, config: {})}, "identity() drops what decides the weights"),
        ({"identity": classmethod(lambda cls, config: config)}, "identity() keeps eval_batch_size"),
        ({"train_dataloader": in_order}, "every epoch has the same order"),
        (
            {"train_dataloader": never_stacked},
            "a model of batches_per_step=2 is given (10, 1, 6, 5), not (2, 10, 1, 6, 5)",
        ),
        ({"val_dataloader": Sound.test_dataloader}, "val_dataloader() does not give all of val in its order"),
    ],
)
def test_a_broken_data_set_is_told_what_it_lacks(members, message):
    assert told(check_dataset, type("Broken", (Sound,), members)()).startswith(f"Broken: {message}")


def test_a_class_without_data_is_told_the_method():
    images, data = type("Empty", (Images,), {}), type("Nothing", (InMemoryData,), {})
    assert told(check_dataset, images(5, 5)).startswith("Empty has no read()")
    assert told(check_dataset, data(5, 5, 0, 5)).startswith("Nothing has no divide()")
    assert told(check_dataset, object()).startswith("object: is no InMemoryData")
    offering = type("Dice", (Plane,), {"offers": {"x": d.Ring()}})
    assert told(check_dataset, offering(d.Ring(), 10)) == "Dice: offers x as Ring, not as plain values"


def narrow(self):
    x, _, y, _ = d.Gaussians.window(self)
    return x, x + 0.5, y, y + 0.5


def oblong(self):
    x, up_to, y, _ = d.Gaussians.window(self)
    return x, up_to, y, y + 1


def elsewhere(self, u, n):
    return d.Gaussians().transport(u, n) + 0.01


HONEST = d.Gaussians()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"density": lambda self, x: 2 * HONEST.density(x)}, " where cells have "),
        ({"density": lambda self, x: HONEST.density(x.flip(1))}, " where cells have "),
        ({"density": lambda self, x: HONEST.density(x)[:, None]}, "density() is (40, 1), not (N,)"),
        ({"cell_masses": lambda self, *at: HONEST.cell_masses(*at).T}, "cell_masses() is (12, 9), not (Y, X)"),
        (
            {"cell_masses": lambda self, *at: HONEST.cell_masses(*at).square()},
            "cell_masses() of small cells do not add",
        ),
        ({"cell_masses": lambda self, *at: HONEST.cell_masses(*at) * 1.1}, "window() holds 1.099998 of the mass"),
        ({"window": narrow}, "window() holds 0."),
        ({"window": oblong}, "window() is no square"),
        ({"sample": lambda self, n, g: HONEST.sample(n, g) + 0.01}, " of sample() fall into a cell whose mass is 0."),
        ({"sample": lambda self, n, g: torch.rand(n, 2)}, "sample() does not draw from the generator it is given"),
        ({"sample": lambda self, n, g: HONEST.sample(n, g).double()}, "sample() is not float32 (N, 2)"),
        (
            {"sample": lambda self, n, g: HONEST.sample(n, g), "transport": elsewhere},
            " of transport() fall into a cell whose mass is 0.",
        ),
        ({"modes": torch.zeros(2, 2)}, "modes are not (K, 2) with a mode_sigma"),
    ],
)
def test_a_broken_distribution_is_told_what_disagrees(members, message):
    line = told(check_distribution, type("Broken", (d.Gaussians,), members)())
    assert line.startswith("Broken: ") and message in line
