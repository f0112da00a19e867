"""Data sets in IDX files: sizes come from the files; what damaged ones are told by; downloads."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts import check_dataset
from datamodules import mnist
from datamodules.idx import DataError
from datamodules.images import to_unit_range
from datamodules.labels import draw_labels
from datamodules.mnist import MNIST, Contents, FashionMNIST, IdxImages

MEAN = {"MNIST": 33, "FashionMNIST": 73}  # pixel values near the data sets' means, 0.1307 and 0.2860 of 255


def write(raw: Path, part: str, pixels: np.ndarray, labels: np.ndarray) -> None:
    """The two files of a part, ``train`` or ``t10k``."""
    raw.mkdir(parents=True, exist_ok=True)
    header = struct.pack(">4i", 2051, *pixels.shape)
    (raw / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.astype(np.uint8).tobytes())
    header = struct.pack(">2i", 2049, len(labels))
    (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes a folder with the four IDX files of a data set of 300 + 100 constant images; returns its ``raw``."""
    mnist._read_files.cache_clear()
    for name, known in list(mnist.KNOWN.items()):
        counts = {"train": (30,) * 10, "t10k": (10,) * 10}
        monkeypatch.setitem(mnist.KNOWN, name, Contents((28, 28), counts, known.mean))

    def make(name: str = "MNIST", like: str = "MNIST") -> Path:
        raw = tmp_path / name / "raw"
        for part, count in (("train", 300), ("t10k", 100)):
            write(raw, part, np.full((count, 28, 28), MEAN[like]), np.arange(count) % 10)
        return raw

    yield make
    mnist._read_files.cache_clear()


def load(root: Path, dataset: type = MNIST, **settings):
    module = dataset(**{"batch_size": 50, "val_size": 60, "root": str(root)} | settings)
    module.setup()
    return module


def test_files_are_read_and_divided(fake, tmp_path):
    fake()
    module = load(tmp_path)
    assert [len(s.images) for s in (module.train, module.val, module.test)] == [240, 60, 100]
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert batch[0].shape == (50, 1, 28, 28) and batch[0].dtype == torch.float32
    assert batch[0].unique().tolist() == [pytest.approx(33 / 255)]


LETTERS = [chr(ord("a") + k) for k in range(26)]


def test_a_data_set_of_26_unequal_classes_of_16x16_is_a_name_and_its_classes(tmp_path):
    rng, raw = np.random.default_rng(0), tmp_path / "Letters" / "raw"
    labels = np.repeat(np.arange(26), 10 + 3 * np.arange(26))  # 10 of a, 85 of z
    write(raw, "train", rng.integers(0, 256, (len(labels), 16, 16)), labels)
    write(raw, "t10k", rng.integers(0, 256, (90, 16, 16)), np.arange(90) % 26)
    settings = {"name": "Letters", "class_names": LETTERS, "val_size": 100}
    module = load(tmp_path, IdxImages, **settings)
    assert module.offers == {"image_shape": (1, 16, 16), "num_classes": 26}
    assert len(module.labelled.images) == len(labels) - 100 == module.class_counts.sum()
    drawn = draw_labels(module.labelled.targets.numpy(), 100, 0, "proportional")
    shares = np.bincount(module.labelled.targets[drawn], minlength=26) - 100 * module.class_counts / (len(labels) - 100)
    assert np.abs(shares).max() < 1
    check_dataset(IdxImages(50, root=str(tmp_path), **settings))
    check_dataset(type("Letters", (IdxImages,), {"class_names": LETTERS})(50, 100, root=str(tmp_path)))


def test_only_data_sets_with_known_contents_are_told_to_delete_and_download(fake, tmp_path, monkeypatch):
    """Another in the same files, though its class is MNIST's: of other means and counts, damaged, and absent."""
    raw = fake("Kuzushiji", like="FashionMNIST")
    kuzushiji = type("Kuzushiji", (MNIST,), {})
    labels = raw / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-10] + bytes(10))
    assert len(load(tmp_path, kuzushiji).train.images) == 240
    mnist._read_files.cache_clear()
    labels.write_bytes(labels.read_bytes()[:-1])
    with pytest.raises(DataError) as error:
        load(tmp_path, kuzushiji)
    told = f"{labels}: 307 bytes where 308 are due (truncated or damaged); name another folder with paths.data=DIR"
    assert str(error.value) == told
    labels.unlink()
    monkeypatch.setattr("torchvision.datasets.MNIST.download", None)  # would raise if it were called
    with pytest.raises(DataError) as error:
        load(tmp_path, kuzushiji)
    absent = "absent; put the four IDX files there, or say where they lie with paths.data=DIR"
    assert str(error.value) == f"{labels}: {absent}"


def test_where_files_lie_and_what_classes_are_called_is_in_no_identity():
    config = {"batch_size": 5, "root": "x", "class_names": ["a"], "name": "Letters", "eval_batch_size": 9}
    assert IdxImages.identity(config) == {"batch_size": 5, "name": "Letters"}


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


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("dataset", "mean", "entropy", "fingerprint"),
    [(MNIST, 0.1307, 45.53, "3f1328ba6db47274"), (FashionMNIST, 0.2860, 189.86, "8ff6569fe6568c75")],
)
def test_the_real_files(data, dataset, mean, entropy, fingerprint):
    """Pixel mean of the training set, the test pixels' own entropy: the floor of a BCE on grey pixels, in nats; and
    the split, as ever."""
    module = dataset(root=data)
    module.setup()
    official = torch.cat([module.train.images, module.val.images])
    assert official.float().mean().item() / 255 == pytest.approx(mean, abs=1e-4)
    x = to_unit_range(module.test.images).double()
    floor = torch.nn.functional.binary_cross_entropy(x, x, reduction="sum").item() / len(x)
    assert floor == pytest.approx(entropy, abs=0.01)
    assert module.fingerprint("train", "val", "test") == fingerprint
