"""Labels as data: what a model is handed by its supervision, which examples meet in a step, and that nothing leaks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import ON_CPU, run
from datamodules.batches import InMixedSteps, MixedSteps
from datamodules.digits import Digits
from datamodules.images import Split
from datamodules.labels import SEMI_SUPERVISED, SUPERVISED, UNLABELLED, UNSUPERVISED, draw_labels
from latent_lab.checkpoints import load_checkpoint
from latent_lab.storage import read_json

SMALL_M2 = [
    "model=m2", "dataset=digits", "n_labels=50", "trainer.max_epochs=2", "dataset.labelled_batch_size=20",
    "model.classifier_hidden=[8]", "model.encoder_hidden=[8]", "model.decoder_hidden=[8]", "model.latent_dim=3",
    "logger=none", *ON_CPU,
]  # fmt: skip


def digits(supervision: str | None = None, **settings) -> Digits:
    """Set up, for a model of that supervision."""
    data = Digits(**settings)
    data.setup()
    if supervision:
        model, strategy = SimpleNamespace(supervision=supervision), SimpleNamespace(root_device=torch.device("cpu"))
        data.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=strategy, lightning_module=model)
    return data


def drawn(data: Digits, count: int) -> set[int]:
    return set(draw_labels(data.labelled.targets.numpy(), count, data.label_seed, data.labels).tolist())


@pytest.mark.parametrize("supervision", [None, UNSUPERVISED])
def test_who_learns_from_no_labels_is_handed_none(supervision):
    targets = torch.cat([batch[1] for batch in digits(supervision).train_dataloader()])
    assert len(targets) == 1088 and set(targets.tolist()) == {UNLABELLED}


def test_a_supervised_model_is_handed_the_labelled_images_alone():
    data = digits(SUPERVISED, n_labels=100, batch_size=20, label_seed=3)
    loader = data.train_dataloader()
    assert len(loader) == data.steps(1, SUPERVISED) == 5
    images, targets = (torch.cat(parts) for parts in zip(*loader, strict=True))
    rows = sorted(drawn(data, 100))
    expected = {(data.labelled.images[row].numpy().tobytes(), int(data.labelled.targets[row])) for row in rows}
    assert {(x.numpy().tobytes(), int(y)) for x, y in zip(images, targets, strict=True)} == expected
    everything = digits(SUPERVISED, n_labels="all", batch_size=20)
    assert torch.equal(everything.given(SUPERVISED).targets, everything.train.targets)


@pytest.mark.parametrize("labels", ["equal", "proportional"])
def test_those_of_a_subset_are_its_first(labels):
    """As the draw of them alone would have it."""
    subset = digits(train_subset=200, n_labels=50, labels=labels, label_seed=2)
    whole = digits(n_labels=50, labels=labels, label_seed=2)
    images = [data.given(SEMI_SUPERVISED) for data in (subset, whole)]
    known = [{x.numpy().tobytes() for x in split.images[split.targets >= 0]} for split in images]
    assert len(known[0]) == 50 and known[0] == known[1]


def test_an_epoch_is_each_unlabelled_image_once_beside_labelled_ones_in_turn():
    data = digits(SEMI_SUPERVISED, n_labels=50, batch_size=100, labelled_batch_size=30)
    known, loader, seen = drawn(data, 50), data.train_dataloader(), []
    for epoch in range(5):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        assert len(batches) == len(loader) == data.steps(1, SEMI_SUPERVISED) == 10
        rows = torch.cat([batch.rows for batch in batches])
        assert len(set(rows.tolist())) == 1000 and not known & set(rows.tolist())
        for batch in batches:
            (images, targets), (others, hidden), rows = batch
            assert images.shape == (30, 1, 8, 8) and others.shape == (100, 1, 8, 8)
            assert (hidden == UNLABELLED).all() and torch.equal(others, data.train.images[rows])
            seen += zip((x.numpy().tobytes() for x in images), targets.tolist(), strict=True)
    # 1500 labelled ones are thirty passes over the fifty, with their right classes
    truth = {data.train.images[row].numpy().tobytes(): int(data.train.targets[row]) for row in known}
    assert all(truth[image] == target for image, target in seen)
    passes = [[image for image, _ in seen[start : start + 50]] for start in range(0, 1500, 50)]
    assert all(set(one) == set(truth) for one in passes) and len({tuple(one) for one in passes}) == 30


def test_steps_are_a_function_of_seed_and_epoch():
    split = Split(torch.arange(40).view(40, 1, 1, 1), torch.tensor([1] * 7 + [UNLABELLED] * 33))
    data = InMixedSteps(split, labelled=3, unlabelled=10)
    orders = {}
    for seed, epoch in np.ndindex(2, 4):
        steps = MixedSteps(data, seed)
        steps.set_epoch(epoch)
        orders[seed, epoch] = torch.stack(list(steps))
        again = MixedSteps(data, seed)
        again.set_epoch(epoch)
        assert torch.equal(orders[seed, epoch], torch.stack(list(again)))
        assert orders[seed, epoch].shape == (3, 13) and (orders[seed, epoch][:, :3] < 7).all()
    assert len({tuple(order.flatten().tolist()) for order in orders.values()}) == 8
    in_a_row = [data[0], data[1], data[2]]  # as overfit_batches asks
    assert [batch.rows.tolist() for batch in in_a_row] == [list(range(7 + 10 * k, 17 + 10 * k)) for k in range(3)]
    assert [batch.labelled[0].flatten().tolist() for batch in in_a_row] == [[0, 1, 2], [3, 4, 5], [6, 0, 1]]


@pytest.mark.parametrize(
    ("settings", "supervision", "message"),
    [
        ({}, SUPERVISED, "dataset.n_labels=null: a model that learns from labels needs some; a number, or all"),
        ({"n_labels": 55}, SUPERVISED, "dataset.n_labels=55: not divisible into 10 classes of equal size"),
        ({"n_labels": 50}, SUPERVISED, "dataset.batch_size=64: there are only 50 labelled images to train on"),
        ({"n_labels": "all"}, SEMI_SUPERVISED, "dataset.batch_size=64: there are only 0 unlabelled images to train on"),
    ],
)
def test_labels_that_do_not_fit_are_named(settings, supervision, message):
    with pytest.raises(ValueError, match=message):
        digits(**settings).steps(1, supervision)


def test_other_labels_than_the_drawn_change_no_weight(tmp_path, monkeypatch):
    """Garbage in the place of every target that is not given, in training, validation and test."""
    weights = []
    for garbage in (False, True):
        if garbage:
            read = Digits.read

            def spoiled(self, read=read):
                (images, targets), (test_images, test_targets) = read(self)
                rest = torch.ones(len(targets), dtype=torch.bool)
                order = torch.from_numpy(np.random.default_rng(0).permutation(len(targets)))
                kept = order[197:].sort().values  # as Images divides
                rest[kept[list(draw_labels(targets[kept].numpy(), 50, 0))]] = False
                spoiled.drawn = list(draw_labels(targets[kept].numpy(), 50, 0))
                garbage = torch.where(rest, (targets + 3) % 10, targets)
                return Split(images, garbage), Split(test_images, (test_targets + 1) % 10)

            monkeypatch.setattr(Digits, "read", spoiled)
            # the draw itself reads the targets: it is made of the true ones
            monkeypatch.setattr("datamodules.images.draw_labels", lambda *_: np.array(spoiled.drawn))
            monkeypatch.setattr("callbacks.analyses.label_classifier.draw_labels", lambda *_: np.array(spoiled.drawn))
        outputs = tmp_path / str(garbage)
        assert run("train", *SMALL_M2, f"paths.outputs={outputs}") == 0
        (checkpoint,) = outputs.glob("fits/m2-digits-*/last.ckpt")
        weights.append(load_checkpoint(checkpoint)["state_dict"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_draw_is_in_the_identity_of_who_learns_from_it_only(tmp_path):
    once = ["trainer.max_epochs=1", f"paths.outputs={tmp_path}"]
    of_m2 = [word for word in SMALL_M2 if "max_epochs" not in word]
    for label_seed in (0, 1):
        assert run("train", *of_m2, *once, f"label_seed={label_seed}") == 0
        words = ["model=vae", "dataset=digits", "n_labels=50", "logger=none", *ON_CPU]
        assert run("train", *words, *once, f"label_seed={label_seed}") == 0
    assert len(list(tmp_path.glob("fits/m2-*"))) == 2 and len(list(tmp_path.glob("fits/vae-*"))) == 1
    results = [read_json(file) for file in tmp_path.glob("runs/*m2*/result.json")]
    assert len({result["labels_sha256"] for result in results}) == 2
    assert {(r["n_labels"], r["supervision"], r["unlabelled"]) for r in results} == {(50, SEMI_SUPERVISED, 1050)}
    assert all("classifier" not in r["choices"] for r in results), "it is classified by no head"
    assert all(r["metrics"]["accuracy"] == pytest.approx(r["metrics"]["test_accuracy"]) for r in results)
