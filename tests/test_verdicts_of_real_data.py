"""Verdicts on images of MNIST and Fashion-MNIST that were spoiled on purpose, with a scorer trained for some seconds.

Spoiled are held-out images that the reference does not have: training images are memorised, whatever else they are. The
sets are those of ``benchmarks/spoil.py``."""

import sys

import pytest
import torch
import torch.nn.functional as F

from callbacks.observers.epoch_scores import Yardstick
from conftest import ROOT
from datamodules.images import Split, to_unit_range
from datamodules.mnist import MNIST, FashionMNIST
from lightning_modules.scorer import Scorer
from metrics import failures
from metrics.failures import Generator, make
from metrics.limits import Limits
from metrics.verdict import label, reasons

sys.path.insert(0, str(ROOT / "benchmarks"))

from spoil import SAMPLES, copies, few, odd, others

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


def quickly_trained(train: Split) -> Scorer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        scorer = Scorer((1, 28, 28), 10)
        optimizer = torch.optim.Adam(scorer.parameters(), 2e-3)
        for at in torch.randperm(len(train.images))[: 250 * 128].split(128):
            optimizer.zero_grad()
            F.cross_entropy(scorer(to_unit_range(train.images[at])), train.targets[at]).backward()
            optimizer.step()
    return scorer.eval()


class Judge:
    """Calls images by the label and what is wrong; has held-out images, and training images, to spoil."""

    def __init__(self, data):
        data.setup()
        yard = Yardstick(quickly_trained(data.train), data.val, data.train, SAMPLES, torch.device("cpu"))
        self.yardstick = yard
        self.limits = Limits.of(yard.measures())
        held_out, train = others(data.val, SAMPLES), others(data.train, SAMPLES)
        self.held_out, self.train = (Split(to_unit_range(s.images), s.targets) for s in (held_out, train))

    def __call__(self, images):
        scores = self.yardstick.score(images)
        return label(scores, self.limits), reasons(scores, self.limits)


@pytest.fixture(scope="module", params=[MNIST, FashionMNIST])
def judge(request) -> Judge:
    from conftest import DATA

    return Judge(request.param(root=DATA))


def mixed(images: torch.Tensor, by: torch.Tensor, share: float) -> torch.Tensor:
    return failures.mixed(images, share, by, Generator().manual_seed(5))


def test_real_images_are_good_and_those_trained_on_are_copies(judge):
    assert judge(judge.held_out.images) == ("good", [])
    assert judge(judge.train.images) == ("memorised", ["copies of training images"])


def test_memorised_images_are_told_by_their_distances(judge):
    for count in (20, 50):
        called, wrong = judge(few(judge.train, count, SAMPLES))
        assert called == "memorised" and {"copies of training images", "duplicates"} <= set(wrong)
    for name, images in copies(judge.train.images, Generator().manual_seed(1)).items():
        if "noise .1" not in name:  # beneath so much noise half of them are found
            assert judge(images)[0] == "memorised", name
        assert "copies of training images" in judge(mixed(judge.held_out.images, images, 0.2))[1], name
    assert "copies of training images" not in judge(mixed(judge.held_out.images, judge.train.images, 0.02))[1]


def test_the_thirty_most_typical_of_each_class_have_collapsed_within_classes(judge):
    called, wrong = judge(make("typical", *judge.held_out, 30 / 200))
    assert called == "collapsed within classes" and "little variety within classes" in wrong


def test_a_fifth_of_noise_is_not_good_and_a_twentieth_is(judge):
    called, wrong = judge(make("noise_images", *judge.held_out, 0.2, seed=1))
    assert called == "not good" and {"far from the data by FCD", "artefacts"} <= set(wrong)
    assert judge(make("noise_images", *judge.held_out, 0.05, seed=1)) == ("good", [])
    assert judge(make("noise_images", *judge.held_out, 1.0, seed=1))[0] == "noise"


def test_images_upside_down_are_not_good_but_not_collapsed(judge):
    for name in ("upside down", "inverted", "middle erased"):
        called, wrong = judge(odd(judge.held_out.images, Generator().manual_seed(1))[name])
        assert called == "not good" and "unrealistic" in wrong, name


def test_blurred_images_are_called_so(judge):
    called, wrong = judge(make("blur", *judge.held_out, 1.0))
    assert called == "not good" and "blurred" in wrong
    assert "blurred" not in judge(make("blur", *judge.held_out, 0.35))[1]


def test_one_class_that_has_lost_its_variety_or_its_weight_is_seen(judge):
    for c in (1, 5, 8):
        targets = torch.where(judge.held_out.targets == c, -1, judge.held_out.targets)
        assert judge(make("narrow_class", judge.held_out.images, targets, 0.001))[0] == "not good", c
        wrong = judge(make("dropped_class", judge.held_out.images, targets, 0.7, seed=1))[1]
        assert "a rare class" in wrong, c
    called, wrong = judge(make("half_classes", *judge.held_out, 0.4, seed=1))
    assert called == "not good" and "unbalanced classes" in wrong
    assert judge(make("half_classes", *judge.held_out, 1.0, seed=1))[0] == "collapsed"


def test_images_that_are_all_alike_have_collapsed(judge):
    images = judge.held_out.images
    for one in (images[:1], images.mean(0, keepdim=True), images[:1] * 0):
        assert judge(one.expand_as(images))[0] == "collapsed"
    assert judge(make("one_mode", *judge.held_out, 1.0))[0] == "collapsed"
