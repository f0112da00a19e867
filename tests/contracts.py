"""What a class of yours is held to. Call the check with an instance: it returns, or one line says what is missing.

from contracts import check_dataset
check_dataset(MyDigits(batch_size=64, val_size=100))
"""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from datamodules.distributions import Distribution
from datamodules.images import Images
from datamodules.in_memory import InMemoryData
from datamodules.labels import UNLABELLED, UNSUPERVISED


def must(held: bool, who: object, lack: str) -> None:
    """Raises AssertionError, ``lack`` said of the class of ``who``, unless it held."""
    if not held:
        raise AssertionError(f"{type(who).__name__}: {lack}")


def check_dataset(data: InMemoryData) -> None:
    """Holds a data set, an instance that is not set up yet, to what models, callbacks and fits rely on.

    Raises:
        AssertionError, DataError: with the first thing that it lacks.
    """
    must(isinstance(data, InMemoryData), data, "is no InMemoryData; subclass Images, or that")
    try:
        data.setup()
    except NotImplementedError as error:
        raise AssertionError(f"{error}, which makes its splits") from None
    _check_splits(data)
    _check_fingerprint(data)
    if isinstance(data, Images):
        _check_images(data)
    _check_offers(data)
    _check_identity(data)
    _check_train_loader(data)
    for name in ("val", "test"):
        batches = list(getattr(data, f"{name}_dataloader")())
        whole = [torch.cat(parts) for parts in zip(*batches, strict=True)]
        same = all(torch.equal(a, b) for a, b in zip(whole, getattr(data, name), strict=True))
        must(same, data, f"{name}_dataloader() does not give all of {name} in its order")


def _check_splits(data: InMemoryData) -> None:
    shapes = set()
    for name in ("train", "val", "test"):
        split = getattr(data, name, None)
        must(isinstance(split, tuple) and len(split) == 2, data, f"{name} is no pair of examples and targets")
        examples, targets = split
        must(targets.dtype == torch.int64 and targets.dim() == 1, data, f"{name}'s targets are not int64 (N,)")
        must(len(examples) == len(targets) > 0, data, f"{name} has {len(examples)} examples, {len(targets)} targets")
        shapes.add((examples.dtype, examples.shape[1:]))
        seen = data.as_seen(examples[:3])
        must(seen.dtype == torch.float32 and seen.shape == examples[:3].shape, data, "as_seen() does not give float32")
        stacked = data.as_seen(examples[:4][None])
        must(torch.equal(stacked[0], data.as_seen(examples[:4])), data, "as_seen() depends on the leading dimensions")
    must(len(shapes) == 1, data, f"its splits are of different types or shapes: {shapes}")
    must(len(data.val[0]) == data.val_size, data, f"val has {len(data.val[0])} examples, val_size={data.val_size}")
    for name in ("val", "test"):
        known = (_rows(getattr(data, name)) & _rows(data.train)).total()
        must(known <= len(getattr(data, name)[0]) / 2, data, f"{known} of the examples in {name} are in train too")
    again = data.divide()
    for name, split in again.items():
        same = all(torch.equal(a, b.cpu()) for a, b in zip(split, getattr(data, name), strict=True))
        must(same, data, f"divide() gives another {name} at every call; draw by a fixed seed")
    before = data.train
    data.setup()
    must(data.train[0].data_ptr() == before[0].data_ptr(), data, "setup() reads again when called again")


def _check_fingerprint(data: InMemoryData) -> None:
    print_of = {name: data.fingerprint(name) for name in ("train", "val", "test")}
    sixteen = all(len(f) == 16 and set(f) <= set("0123456789abcdef") for f in print_of.values())
    must(sixteen, data, f"fingerprint() is not 16 hexadecimal digits: {print_of['train']}")
    must(data.fingerprint("train") == print_of["train"], data, "fingerprint() is another at every call")
    must(len(set(print_of.values())) == 3, data, "fingerprint() is the same for different splits")
    kept = data.train
    try:
        for number, what in ((0, "an example"), (1, "a target")):
            changed = [tensor.clone() for tensor in kept]
            changed[number].view(-1)[-1] += 1
            data.train = kept._make(changed)
            must(data.fingerprint("train") != print_of["train"], data, f"fingerprint() does not notice {what} changed")
    finally:
        data.train = kept


def _check_images(data: Images) -> None:
    official, test = data.read()
    must(
        _rows(data.labelled) + _rows(data.val) == _rows(official),
        data,
        "labelled and val do not divide the training set",
    )
    must(_rows(data.test) == _rows(test), data, "test is not the official test set")
    must(_rows(data.train) <= _rows(data.labelled), data, "train is not of the labelled ones")
    counts = np.bincount(data.labelled.targets.cpu().numpy(), minlength=len(data.class_names))
    right = np.array_equal(np.asarray(data.class_counts), counts) and len(data.class_names) == data.num_classes
    must(right, data, f"class_counts are not those of labelled, {counts.tolist()}")
    seen = data.as_seen(data.train.images)
    must(0 <= float(seen.min()) < float(seen.max()) <= 1, data, "as_seen() does not scale to [0, 1]")
    expected = {"image_shape": tuple(data.train.images.shape[1:]), "num_classes": len(data.class_names)}
    offered = {name: data.offers.get(name) for name in expected}
    must(offered == expected, data, f"offers {offered}, where models ask for {expected}")


def _check_offers(data: InMemoryData) -> None:
    for name, value in data.offers.items():
        values = value if isinstance(value, list | tuple) else [value]
        plain = all(isinstance(v, int | float | str | bool) for v in values)
        must(plain, data, f"offers {name} as {type(value).__name__}, not as plain values")


def _check_identity(data: InMemoryData) -> None:
    narrow = getattr(type(data), "identity", None)
    must(narrow is not None, data, "has no class method identity(config)")
    config = {"_target_": "package.module.Class", "batch_size": 5, "seed": 1, "eval_batch_size": 7}
    kept = narrow(dict(config))
    must(kept.get("batch_size") == 5 and kept.get("seed") == 1, data, "identity() drops what decides the weights")
    must("eval_batch_size" not in kept, data, "identity() keeps eval_batch_size, which decides nothing")


def _check_train_loader(data: InMemoryData) -> None:
    size, count = data.batch_size, len(data.train[0])
    loader = data.train_dataloader()
    flat = _epoch(loader, 0)
    must(len(flat) == count // size, data, f"{len(flat)} batches in an epoch, {count} examples fill {count // size}")
    one = (size, *data.train[0].shape[1:])
    examples, targets = flat[0]
    must(examples.shape == one and targets.shape == (size,), data, f"a batch is {tuple(examples.shape)}, not {one}")
    must(_same(flat, _epoch(loader, 0)), data, "an epoch's order is another when it is repeated")
    must(not _same(flat, _epoch(loader, 1)) or count == 1, data, "every epoch has the same order")
    gathered = Counter()
    for batch in flat:
        gathered += _rows(batch)
    given = data.given(UNSUPERVISED)
    hidden = given[0] is data.train[0] and (given is data.train or bool((given[1] == UNLABELLED).all()))
    must(hidden, data, "given(unsupervised) is not the training examples without their targets")
    must(not gathered - _rows(given), data, "an epoch has examples, or targets of them, that are not given")
    seen, _ = data.on_after_batch_transfer(flat[0], 0)
    must(torch.equal(seen, data.as_seen(examples)), data, "on_after_batch_transfer() does not give them as_seen()")
    if len(flat) < 2:
        return
    kept = data.trainer
    strategy, model = SimpleNamespace(root_device=data.device), SimpleNamespace(batches_per_step=2)
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=strategy, lightning_module=model)
    try:
        (examples, targets), *_ = _epoch(data.train_dataloader(), 0)
    finally:
        data.trainer = kept
    given = tuple(examples.shape)
    must(given == (2, *one), data, f"a model of batches_per_step=2 is given {given}, not {(2, *one)}")
    both = [(examples[i], targets[i]) for i in range(2)]
    must(_same(both, flat[:2]), data, "a model of batches_per_step=2 is given other examples than two batches hold")


def _epoch(loader, epoch: int) -> list[tuple[Tensor, Tensor]]:
    loader.sampler.set_epoch(epoch)  # as Lightning does
    return list(loader)


def _same(one: list, other: list) -> bool:
    return all(torch.equal(a, b) for pair in zip(one, other, strict=True) for a, b in zip(*pair, strict=True))


def _rows(split: tuple[Tensor, Tensor]) -> Counter:
    """How often each example stands with each target."""
    examples, targets = (tensor.cpu().numpy() for tensor in split)
    return Counter((row.tobytes(), int(target)) for row, target in zip(examples, targets, strict=True))


SAMPLES, CELLS, SIGMAS = 200_000, 12, 5  # points drawn, cells on a side, by how much frequencies may be off
NEAR = 40  # points around which the density is compared with a small cell's mass


def check_distribution(distribution: Distribution) -> None:
    """Holds a distribution in the plane to its parts agreeing: samples, transport, density, cell masses, window.

    Raises:
        AssertionError: with the first thing that does not.
    """
    x_low, x_high, y_low, y_high = distribution.window()
    square = x_high - x_low > 0 and abs((x_high - x_low) - (y_high - y_low)) < 1e-9 * (x_high - x_low)
    must(square, distribution, "window() is no square: x from, x to, y from, y to")
    x, y = (torch.linspace(*ends, CELLS + 1, dtype=torch.float64) for ends in ((x_low, x_high), (y_low, y_high)))
    masses = distribution.cell_masses(x, y[:-3])
    must(masses.shape == (CELLS - 3, CELLS), distribution, f"cell_masses() is {tuple(masses.shape)}, not (Y, X)")
    masses = distribution.cell_masses(x, y)
    coarse = distribution.cell_masses(x[::2], y[::3])
    added = masses.view(CELLS // 3, 3, CELLS // 2, 2).sum((1, 3))
    must(torch.allclose(coarse, added, atol=1e-9), distribution, "cell_masses() of small cells do not add up to large")
    total = float(masses.sum())
    must(abs(total - 1) < 1e-4, distribution, f"window() holds {total:.6f} of the mass, 1 - 1e-4 are due")
    _check_components(distribution)

    points = distribution.sample(SAMPLES, torch.Generator().manual_seed(0))
    must(points.shape == (SAMPLES, 2) and points.dtype == torch.float32, distribution, "sample() is not float32 (N, 2)")
    again = distribution.sample(SAMPLES, torch.Generator().manual_seed(0))
    must(torch.equal(points, again), distribution, "sample() does not draw from the generator it is given")
    generator = torch.Generator().manual_seed(1)
    u = torch.rand(SAMPLES, generator=generator, dtype=torch.float64)
    moved = distribution.transport(u, torch.randn(SAMPLES, 2, generator=generator, dtype=torch.float64))
    must(moved.shape == (SAMPLES, 2), distribution, f"transport() is {tuple(moved.shape)}, not (N, 2)")
    for name, found in (("sample()", points), ("transport()", moved)):
        counts, _, _ = np.histogram2d(found[:, 1].numpy(), found[:, 0].numpy(), bins=(y.numpy(), x.numpy()))
        off = np.abs(counts / SAMPLES - masses.numpy())
        allowed = SIGMAS * np.sqrt(masses.numpy().clip(min=1 / SAMPLES) / SAMPLES)
        worst = np.unravel_index((off / allowed).argmax(), off.shape)
        of_all = f"{counts[worst] / SAMPLES:.4f} of {name} fall into a cell whose mass is {float(masses[worst]):.4f}"
        must(bool((off <= allowed).all()), distribution, of_all)
    _check_density(distribution, points[:NEAR].double())
    if distribution.modes is not None:
        right = distribution.modes.dim() == 2 and distribution.modes.shape[1] == 2 and distribution.mode_sigma
        must(bool(right), distribution, "modes are not (K, 2) with a mode_sigma")


def _check_components(distribution: Distribution) -> None:
    weights, means, stds = distribution.components()
    shapes = means.shape == stds.shape == (len(weights), 2)
    must(
        shapes and weights.dtype == means.dtype == torch.float64,
        distribution,
        "components() are not (K,), (K, 2), (K, 2)",
    )
    proper = bool((stds > 0).all()) and bool((weights >= 0).all()) and abs(float(weights.sum()) - 1) < 1e-9
    must(
        proper, distribution, "components() have weights that do not sum to 1, or standard deviations that are not > 0"
    )


def _check_density(distribution: Distribution, points: Tensor) -> None:
    """Against the mass of a cell around each point, a tenth of the least standard deviation wide."""
    side = float(distribution.components()[2].min()) / 10
    density = distribution.density(points)
    must(density.shape == (len(points),), distribution, f"density() is {tuple(density.shape)}, not (N,)")
    for point, found in zip(points, density.tolist(), strict=True):
        edges = (torch.stack([at - side / 2, at + side / 2]) for at in point)
        mean = float(distribution.cell_masses(*edges)) / side**2
        must(abs(found - mean) <= 0.01 * mean, distribution, f"density() is {found:.4g} where cells have {mean:.4g}")
