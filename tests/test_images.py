"""The data modules: the splits, the in-memory path, and what damaged files are told by."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import images
from datamodules.idx import DataError
from datamodules.images import MNIST, Digits, FashionMNIST, Split
from datamodules.in_memory import EpochShuffle, InMemory
from datamodules.labels import draw_labels

MEAN = {"MNIST": 33, "FashionMNIST": 73}  # pixel values near the data sets' means, 0.1307 and 0.2860 of 255


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes a folder with the four IDX files of a data set of 300 + 100 constant images; returns its ``raw``."""
    images._read_official.cache_clear()
    for dataset in (MNIST, FashionMNIST):
        monkeypatch.setattr(dataset, "train_total", 300)
        monkeypatch.setattr(dataset, "test_total", 100)
        monkeypatch.setattr(dataset, "class_counts", {"train": (30,) * 10, "t10k": (10,) * 10})

    def make(name: str = "MNIST") -> Path:
        raw = tmp_path / name / "raw"
        raw.mkdir(parents=True)
        for part, count in (("train", 300), ("t10k", 100)):
            pixels = np.full((count, 28, 28), MEAN[name], np.uint8)
            header = struct.pack(">4i", 2051, count, 28, 28)
            (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
            labels = (np.arange(count) % 10).astype(np.uint8)
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())
        return raw

    yield make
    images._read_official.cache_clear()


def load(root: Path, dataset: type = MNIST, **settings):
    module = dataset(batch_size=50, val_size=60, root=str(root), **settings)
    module.setup()
    return module


def test_files_are_read_and_divided(fake, tmp_path):
    fake()
    module = load(tmp_path)
    assert [len(s.images) for s in (module.train, module.val, module.test)] == [240, 60, 100]
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert batch[0].shape == (50, 1, 28, 28) and batch[0].dtype == torch.float32
    assert batch[0].unique().tolist() == [pytest.approx(33 / 255)]


def damage(raw: Path, kind: str) -> str:
    images_file, labels_file = raw / "train-images-idx3-ubyte", raw / "train-labels-idx1-ubyte"
    if kind == "truncated":
        images_file.write_bytes(images_file.read_bytes()[:-1])
        return r"train-images-idx3-ubyte: 235215 bytes where 235216 are due \(truncated or damaged\)"
    if kind == "empty":
        labels_file.write_bytes(b"")
        return "train-labels-idx1-ubyte: truncated, 0 bytes are not even a header"
    if kind == "labels for images":
        images_file.write_bytes(labels_file.read_bytes())
        return r"train-images-idx3-ubyte: magic number 2049 where 2051 is due \(this is a label file\)"
    if kind == "gzip":
        images_file.write_bytes(b"\x1f\x8b\x08\x00" + bytes(100))
        return r"train-images-idx3-ubyte: magic number \d+ where 2051 is due \(this is a gzip archive, unpack it\)"
    if kind == "test for train":
        images_file.write_bytes((raw / "t10k-images-idx3-ubyte").read_bytes())
        return r"train-images-idx3-ubyte: holds 100x28x28 where 300x28x28 is due \(train and test files swapped\?\)"
    if kind == "a label of 12":
        labels_file.write_bytes(labels_file.read_bytes()[:-1] + bytes([12]))
        return r"train-labels-idx1-ubyte: not MNIST's labels, of class 0 there are 30 \(another data set's file\?\)"
    content = bytearray(images_file.read_bytes())
    content[16:] = bytes([MEAN["FashionMNIST"]]) * (len(content) - 16)
    images_file.write_bytes(content)
    return r"train-images-idx3-ubyte: mean pixel 0.286 where MNIST has 0.131 \(another data set's file\?\)"


@pytest.mark.parametrize(
    "kind",
    ["truncated", "empty", "labels for images", "gzip", "test for train", "a label of 12", "another data set"],
)
def test_damaged_files_are_named_with_a_way_out(fake, tmp_path, kind):
    message = damage(fake(), kind)
    with pytest.raises(DataError, match=message + ".*; remove it .*paths.data=DIR"):
        load(tmp_path)


def test_a_failed_download_names_the_file_and_the_ways_out(fake, tmp_path, monkeypatch):
    import urllib.request

    def no_network(*args, **kwargs):
        raise urllib.request.URLError("no network in this test")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    raw = fake()
    (raw / "t10k-labels-idx1-ubyte").unlink()
    expected = r"t10k-labels-idx1-ubyte: absent, and the download failed .*; put the four IDX files .*paths.data=DIR"
    with pytest.raises(DataError, match=expected):
        load(tmp_path)


def test_a_download_is_torchvisions(fake, tmp_path, monkeypatch):
    """The real download code runs against a server on this machine, with archives made here."""
    import gzip
    import hashlib
    import shutil
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    import torchvision

    served = tmp_path / "server"
    shutil.move(fake(), served)
    resources = []
    for file in sorted(served.glob("*ubyte")):
        archive = file.with_name(file.name + ".gz")
        archive.write_bytes(gzip.compress(file.read_bytes()))
        resources.append((archive.name, hashlib.md5(archive.read_bytes()).hexdigest()))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        module = load(tmp_path)
        server.shutdown()
    assert len(module.train.images) == 240
    assert (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").stat().st_size == 16 + 300 * 784


def test_the_same_images_are_held_out_whatever_the_seed():
    one, two = Digits(seed=0), Digits(seed=5)
    one.setup()
    two.setup()
    assert torch.equal(one.val.images, two.val.images)
    held_out = {tuple(i.flatten().tolist()) for i in one.val.images}
    trained = [tuple(i.flatten().tolist()) for i in one.train.images]
    tested = [tuple(i.flatten().tolist()) for i in one.test.images]
    assert (len(trained), len(held_out), len(tested)) == (1100, 197, 500)
    assert not held_out & set(trained) and not held_out & set(tested) and not set(trained) & set(tested)


def test_train_subset_trains_on_the_images_that_are_labelled():
    module = Digits(train_subset=100, label_seed=3)
    module.setup()
    drawn = draw_labels(module.labelled.targets.numpy(), 100, 3)
    assert torch.equal(module.train.images, module.labelled.images[drawn])
    assert len(module.labelled.images) == 1100


def test_the_label_seed_is_in_a_fits_identity_only_with_a_subset():
    config = {"batch_size": 5, "label_seed": 3, "root": "x", "eval_batch_size": 9, "shape": [1, 8, 8], "seed": 1}
    assert Digits.identity(config | {"train_subset": None}) == {"batch_size": 5, "seed": 1, "train_subset": None}
    assert Digits.identity(config | {"train_subset": 50})["label_seed"] == 3


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "dataset.batch_size=0: expects a positive whole number"),
        ({"batch_size": 5000}, "dataset.batch_size=5000: there are only 1100 images to train on"),
        ({"val_size": 1297}, "dataset.val_size=1297: Digits has 1297 training images"),
        ({"shape": (1, 28, 28)}, r"dataset.shape=\[1, 28, 28\]: images of Digits are \[1, 8, 8\]"),
        ({"train_subset": 105, "batch_size": 5}, "dataset.train_subset=105: not divisible"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Digits(**settings).setup()


@pytest.mark.real_data
@pytest.mark.parametrize(("dataset", "mean", "entropy"), [(MNIST, 0.1307, 45.53), (FashionMNIST, 0.2860, 189.86)])
def test_the_real_files(data, dataset, mean, entropy):
    """Pixel mean of the training set, and the test pixels' own entropy: the floor of a BCE on grey pixels, in nats."""
    module = dataset(root=data)
    module.setup()
    official = torch.cat([module.train.images, module.val.images])
    assert official.float().mean().item() / 255 == pytest.approx(mean, abs=1e-4)
    x = images.to_unit_range(module.test.images).double()
    floor = torch.nn.functional.binary_cross_entropy(x, x, reduction="sum").item() / len(x)
    assert floor == pytest.approx(entropy, abs=0.01)
