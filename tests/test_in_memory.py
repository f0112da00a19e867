"""Data in memory: batches of one gather, their order, and how many of them a model is given at once."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from datamodules.batches import EpochShuffle, InMemory, Steps
from datamodules.digits import Digits
from datamodules.images import Split


def test_a_batch_is_one_gather():
    split = Split(torch.arange(20, dtype=torch.uint8).view(20, 1, 1, 1), torch.arange(20))
    gathered = InMemory(split).__getitems__([3, 1, 7])
    assert gathered[0].flatten().tolist() == gathered[1].tolist() == [3, 1, 7]
    assert gathered[0].dtype == torch.uint8


def test_the_shuffle_is_a_function_of_seed_and_epoch():
    sampler, other = EpochShuffle(50, seed=1), EpochShuffle(50, seed=1)
    first = list(sampler)
    assert first == list(sampler) == list(other)
    assert sorted(first) == list(range(50))
    other.set_epoch(1)
    assert list(other) != first
    assert list(EpochShuffle(50, seed=2)) != first


def test_steps_are_the_shuffle_in_whole_batches():
    shuffle = EpochShuffle(50, seed=1)
    steps = Steps(shuffle, 8, torch.device("cpu"))
    assert len(steps) == len(list(steps)) == 6
    first = torch.cat(list(steps)).tolist()
    assert first == list(shuffle)[:48]
    steps.set_epoch(1)
    assert torch.cat(list(steps)).tolist() == list(shuffle)[:48] != first
    assert {indices.device.type for indices in Steps(shuffle, 8, torch.device("meta"))} == {"meta"}


def attached(model=None, device: str = "cpu", processes: int = 1) -> SimpleNamespace:
    """What of a trainer a data module asks."""
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(global_rank=0, world_size=processes, strategy=strategy, lightning_module=model)


@pytest.mark.parametrize("number", [1, 3])
def test_a_model_that_asks_for_batches_is_given_as_many_stacked(number):
    """The same examples in the same order as batch after batch."""
    flat, asked = Digits(batch_size=50), Digits(batch_size=50)
    asked.trainer = attached(SimpleNamespace(batches_per_step=number))
    for data in (flat, asked):
        data.setup()
    one_by_one, together = list(flat.train_dataloader()), list(asked.train_dataloader())
    assert (len(one_by_one), len(together)) == (22, 22 // number)
    images, targets = asked.on_after_batch_transfer(together[0], 0)
    assert images.shape == (number, 50, 1, 8, 8) and targets.shape == (number, 50)
    assert images.dtype == torch.float32 and float(images.max()) == 1
    for step, (images, targets) in enumerate(together):
        for part in range(number):
            expected = one_by_one[step * number + part]
            assert torch.equal(images[part], expected[0]) and torch.equal(targets[part], expected[1])
    assert next(iter(asked.val_dataloader()))[0].shape == (197, 1, 8, 8)


QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Counting(pl.LightningModule):
    """Notes the shapes of its batches, and the first images of each epoch."""

    def __init__(self, batches_per_step=None):
        super().__init__()
        if batches_per_step:
            self.batches_per_step = batches_per_step
        self.weight, self.shapes, self.first = torch.nn.Parameter(torch.zeros(())), [], []

    def training_step(self, batch, batch_idx):
        self.shapes.append(tuple(batch[0].shape))
        if batch_idx == 0:
            self.first.append(batch[0].reshape(-1, *batch[0].shape[-3:]))
        return self.weight * 0

    def validation_step(self, batch, batch_idx):
        assert batch[0].dim() == 4, "what is not trained on stays flat"

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(("asks", "shape", "steps"), [(None, (64, 1, 8, 8), 17), (5, (5, 64, 1, 8, 8), 3)])
def test_lightnings_trainer_hands_them_out(asks, shape, steps):
    model = Counting(asks)
    pl.Trainer(max_epochs=1, accelerator="cpu", **QUIET).fit(model, Digits(batch_size=64))
    assert model.shapes == [shape] * steps


@pytest.mark.parametrize("asks", [None, 5])
def test_overfitting_is_of_the_same_whole_batches_in_every_epoch(asks):
    """Lightning puts a sampler of its own in the place of ours, which asks for items by number."""
    model, data = Counting(asks), Digits(batch_size=64)
    pl.Trainer(max_epochs=2, accelerator="cpu", overfit_batches=2, **QUIET).fit(model, data)
    size = 64 * (asks or 1)
    assert [len(images) for images in model.first] == [size, size] and len(model.shapes) == 4
    for images in model.first:
        assert torch.equal(images, data.as_seen(data.train.images[:size]))


def test_too_few_examples_for_a_step_are_told_with_all_it_takes():
    data = Digits(batch_size=300)
    data.setup()
    data.steps(3)
    with pytest.raises(ValueError) as error:
        data.steps(4)
    told = "dataset.batch_size=300, 4 batches at a time: there are only 1100 images to train on"
    assert str(error.value) == told
    data.trainer = attached(SimpleNamespace(batches_per_step=2), processes=2)
    with pytest.raises(ValueError, match=told):
        data.train_dataloader()


def test_splits_follow_the_trainer_to_its_device_and_are_read_once():
    reads = []

    class Watched(Digits):
        def read(self):
            reads.append(1)
            return super().read()

    data = Watched()
    data.setup()
    data.trainer = attached(device="meta")
    data.setup("fit")
    data.setup("test")
    assert {getattr(data, name).images.device.type for name in ("train", "val", "test", "labelled")} == {"meta"}
    assert len(reads) == 1


def test_a_fingerprint_is_of_types_shapes_and_bytes():
    data = Digits()
    data.setup()
    images, targets = data.test
    seen = {data.fingerprint("test")}
    one_more = images.clone()
    one_more[499, 0, 7, 7] += 1
    for changed in (
        Split(one_more, targets), Split(images, targets.roll(1)), Split(images.view(500, 1, 4, 16), targets),
        Split(images.view(torch.int8), targets), Split(images[:499], targets[:499]),
    ):  # fmt: skip
        data.test = changed
        seen.add(data.fingerprint("test"))
    assert len(seen) == 6
    data.test = Split(images.clone(), targets.clone())
    assert data.fingerprint("test") in seen and len(data.fingerprint("test")) == 16
