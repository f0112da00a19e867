"""Two processes on the CPU against one with the doubled batch: modules to rounding, the sampler exactly, commands."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from conftest import ROOT, results
from datamodules.batches import EpochShuffle
from datamodules.digits import Digits
from latent_lab import processes as distributed
from lightning_modules import adversarial, parallel
from lightning_modules.adversarial_networks import ConvCritic, ConvGenerator
from lightning_modules.gan import GAN
from lightning_modules.wgan_gp import WGANGP

SHAPE, Z, SHARE, UPDATES = (1, 8, 8), 6, 5, 4
N_CRITIC = {"dcgan": 2, "wgan_gp": 3}
# What must be noticed: gradients of the own share only, statistics of the own share only, noise that is not the whole
# batch's.
MUTATIONS = ("none", "no_averaging", "own_statistics", "own_noise")


def module(name: str) -> adversarial.Adversarial:
    """The model at its first weights, with batch norms wherever it may have them; float64."""
    torch.manual_seed(3)
    generator = ConvGenerator(SHAPE, Z, 2, norm="batch", init="scaled")
    critic = ConvCritic(SHAPE, 2, norm="batch" if name == "dcgan" else "layer", init="scaled")
    settings = {"z_dim": Z, "n_critic": N_CRITIC[name], "lr_generator": 1e-2, "lr_critic": 1e-2}
    return (GAN if name == "dcgan" else WGANGP)(generator, critic, **settings).double()


def updates(name: str) -> tuple[list[dict], dict]:
    """What each update shows, and the state after the last; as this process sees it, one of several or alone."""
    model = module(name)
    number, processes = parallel.place()
    if processes > 1:
        parallel.share_batch_norms(model)
    optimizers = [SimpleNamespace(optimizer=o, step=o.step) for o in model.configure_optimizers()]
    model.optimizers = lambda: optimizers
    torch.manual_seed(4)
    images = torch.rand(UPDATES, N_CRITIC[name], 2, SHARE, *SHAPE, generator=torch.Generator().manual_seed(5))
    shown = []
    for batch in images.double():
        own = batch[:, number] if processes > 1 else batch.flatten(1, 2)
        shown.append(model.training_step((own, None), 0))
    return shown, model.state_dict()


def in_float64() -> None:
    """Adam makes a step of a gradient that is nothing but rounding too: in float64 there is less of that."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double


def one_of_two(folder: str) -> None:
    """All models and mutations, in one of two processes; writes what :func:`updates` gives."""
    number = int(os.environ["LOCAL_RANK"])
    in_float64()
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=number, world_size=2)
    found = {}
    for mutation in MUTATIONS:
        with pytest.MonkeyPatch.context() as patch:
            if mutation == "no_averaging":
                patch.setattr(adversarial, "averaged", list)
            elif mutation == "own_statistics":
                patch.setattr(parallel, "share_batch_norms", lambda model: None)
            elif mutation == "own_noise":
                patch.setattr(adversarial, "own_share", lambda draw, *size, **kwargs: draw(*size, **kwargs))
            found |= {(mutation, name): updates(name) for name in N_CRITIC}
    torch.save(found, f"{folder}/{number}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> list[dict]:
    """What each of two processes has, by mutation and model; then what one process has, by model."""
    folder = tmp_path_factory.mktemp("two")
    distributed.launch(2, one_of_two, str(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            alone = {name: updates(name) for name in N_CRITIC}
        finally:
            torch.set_default_dtype(before)
    return [*(torch.load(folder / f"{number}.pt") for number in (0, 1)), alone]


def differences(two: tuple[list[dict], dict], one: tuple[list[dict], dict]) -> tuple[float, float]:
    """The largest of what the updates show, and of the state: of each tensor, over its largest value."""

    def apart(a: torch.Tensor, b: torch.Tensor) -> float:
        return (
            float((a - b).abs().max() / b.abs().max().clamp(min=1e-6))
            if a.is_floating_point()
            else float((a != b).any())
        )

    shown = max(apart(a[name], b[name]) for a, b in zip(two[0], one[0], strict=True) for name in b)
    assert two[1].keys() == one[1].keys()
    return shown, max(apart(two[1][name], value) for name, value in one[1].items())


@pytest.mark.parametrize("name", N_CRITIC)
def test_two_processes_are_one_with_the_doubled_batch(both, name):
    """Losses and all else that is shown, weights, averages and running statistics: to 1e-9 in float64."""
    first, second, alone = both
    assert max(differences(first["none", name], alone[name])) < 1e-9
    assert first["none", name][1].keys() == module(name).state_dict().keys()
    # and the two have the same, bit for bit
    assert differences(first["none", name], second["none", name]) == (0, 0)


@pytest.mark.parametrize("mutation", MUTATIONS[1:])
@pytest.mark.parametrize("name", N_CRITIC)
def test_what_is_not_exchanged_is_noticed(both, name, mutation):
    first, _, alone = both
    assert min(differences(first[mutation, name], alone[name])) > 1e-4


@pytest.mark.parametrize(("processes", "batch_size", "n_critic"), [(2, 8, 1), (2, 8, 5), (3, 7, 4)])
def test_the_processes_batches_together_are_the_single_ones(processes, batch_size, n_critic):
    """Each of those that are stacked, in the same order, and as many: exactly."""

    def loader(size: int, number: int, count: int):
        data = Digits(size)
        data.trainer = SimpleNamespace(
            global_rank=number,
            world_size=count,
            strategy=SimpleNamespace(root_device=torch.device("cpu")),
            lightning_module=SimpleNamespace(batches_per_step=n_critic),
        )
        data.setup()
        loader = data.train_dataloader()
        loader.sampler.set_epoch(3)
        return loader

    together = loader(processes * batch_size, 0, 1)
    shares = [loader(batch_size, number, processes) for number in range(processes)]
    assert {len(share) for share in shares} == {len(together)} and len(together) > 1
    for whole, *parts in zip(together, *shares, strict=True):
        assert all(part[0].shape[:2] == part[1].shape == (n_critic, batch_size) for part in parts)
        for kind in (0, 1):  # images, targets
            assert torch.equal(whole[kind], torch.cat([part[kind] for part in parts], dim=1))


def test_one_process_shuffles_all_images():
    assert sorted(EpochShuffle(50, seed=1, batch_size=8)) == list(range(50))


QUICK = ["dataset=digits", "trainer.max_epochs=2", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu",
         "trainer.precision=32-true", "callbacks.every_n_epochs=1",
         "callbacks.observers.history.every_n_updates=1"]  # fmt: skip
UNSCORED = ["callbacks.observers.scores=null", "callbacks.analyses.sample_quality=null", "~requires.scorer"]
SLOW_STEPS = ["model.lr_generator=1.0e-4", "model.lr_critic=1.0e-4"]  # how far rounding alone carries the last bias


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "batch_size", "tolerance", "more"),
    [
        ("dcgan", 128, 1e-3, UNSCORED),
        pytest.param("wgan_gp", 20, 0.05, SLOW_STEPS, marks=pytest.mark.slow),
    ],
    ids=["dcgan", "wgan_gp, scored"],
)
def test_a_run_on_two_devices_is_one_with_the_doubled_batch(command, tmp_path, model, batch_size, tolerance, more):
    """All that the history holds, in float32: 8 or 10 updates to the tolerance, the first to a fifth of it.

    Adam makes a whole step of a gradient that is nothing but rounding. WGAN-GP's critic always has such a one, of its
    last bias, on which the loss does not depend: the generator's loss, of arbitrary offset, is the first to part.
    """
    quick = [*QUICK, *more, f"model={model}", f"paths.outputs={tmp_path}"]
    two = [*quick, "trainer.devices=2", f"dataset.batch_size={batch_size}", "sweep=two"]
    if more == UNSCORED:
        assert command("train", "-m", *two)[0] == 0
    else:  # as a user does: the processes begin with train.py and this command line, and must not sweep
        done = subprocess.run([sys.executable, "train.py", "-m", *two], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert command("train", *quick, f"dataset.batch_size={2 * batch_size}")[0] == 0
    jobs = results(tmp_path)
    assert len(jobs) == 2 and {job["status"] for job in jobs.values()} == {"ok"}
    names = {job["fit"] for job in jobs.values()}
    assert len(names) == 2

    histories = {}
    for fit in names:
        identity = json.loads((tmp_path / "fits" / fit / "identity.json").read_text())
        checkpoint = torch.load(tmp_path / "fits" / fit / "last.ckpt", weights_only=True)
        states = checkpoint["callbacks"]
        histories[identity["trainer"].get("devices")] = states["LossHistory"], states.get("EpochScores"), checkpoint
        assert sorted(p.name for p in (tmp_path / "fits" / fit / "epochs").iterdir()) == ["0001.png", "0002.png"]
    (one, scores, checkpoint), (both, scores_of_both, checkpoint_of_both) = histories[None], histories[2]
    assert one["updates"] == both["updates"] == list(range(1, checkpoint["global_step"] + 1))
    assert checkpoint["global_step"] == checkpoint_of_both["global_step"] > 4
    rows, rows_of_both = one["rows"].clone(), both["rows"].clone()
    if model == "wgan_gp":
        # -E[D(G(z))] has the offset of that bias: five critic steps of 1e-4 an update, in each run, whichever way
        column = one["names"].index("generator_loss")
        drift = (rows[:, column] - rows_of_both[:, column]).abs()
        assert (drift <= 2 * 5 * 1e-4 * torch.arange(1, len(rows) + 1)).all()
        rows[:, column] = rows_of_both[:, column] = 0
    torch.testing.assert_close(rows_of_both[0], rows[0], rtol=tolerance / 5, atol=1e-5)
    torch.testing.assert_close(rows_of_both, rows, rtol=tolerance, atol=1e-5)
    assert both["norm_counts"].sum() == one["norm_counts"].sum()
    for a, b in zip(both["epochs"], one["epochs"], strict=True):
        assert a == pytest.approx(b, rel=tolerance, abs=1e-5)
    if scores:
        for a, b in zip(scores_of_both["epochs"], scores["epochs"], strict=True):
            assert a["images_seen"] == b["images_seen"]
            assert a["averaged"]["fcd"] == pytest.approx(b["averaged"]["fcd"], rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["model=vae"],
            "trainer.devices=2: a fit runs on one device unless its model exchanges gradients .* VAE does not",
        ),
        (["model=scorer"], "trainer.devices=2: a fit runs on one device unless .* Scorer does not; leave it out"),
        (["model=dcgan", "compile=true"], "compile=true: without gain on GAN"),
        (["model=dcgan", "trainer.devices=0"], "trainer.devices=0: expects a positive whole number"),
        (["model=dcgan", "trainer.devices=-1"], "trainer.devices=-1: expects a positive whole number"),
        (["model=dcgan", "trainer.devices=1.5"], "trainer.devices=1.5: expects a whole number"),
        (["model=dcgan", "trainer.devices=auto"], "trainer.devices=auto: expects a whole number"),
        (["model=dcgan", "trainer.accelerator=gpu"], "trainer.devices=2: there are 1 GPUs for a process each"),
        (["model=wgan_gp", "dataset.batch_size=600"], "trainer.devices=2: .* take 1200 images a step .* only 1100"),
    ],
)
def test_what_several_devices_cannot_do_ends_in_one_line(command, tmp_path, monkeypatch, arguments, message):
    import re

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    devices = [] if any(a.startswith("trainer.devices") for a in arguments) else ["trainer.devices=2"]
    on_cpu = [] if "trainer.accelerator=gpu" in arguments else ["trainer.accelerator=cpu"]
    code, out, err = command("train", "dataset=digits", "trainer.precision=32-true", *devices, *on_cpu, *arguments)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert re.search(f"^train.py: {message}", err), err
    assert not list(tmp_path.iterdir())


def fails_in_the_second(folder: str) -> None:
    """One process fails while the other waits for it, or would."""
    import time

    number = os.environ["LOCAL_RANK"]
    with open(f"{folder}/{number}", "w") as file:
        file.write(str(os.getpid()))
    if number == "1":
        raise ValueError("out of luck")
    time.sleep(300)


@pytest.mark.slow
def test_if_one_process_fails_all_end_and_the_reason_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="^process 1 of 2: ValueError: out of luck$"):
        distributed.launch(2, fails_in_the_second, str(tmp_path))
    for file in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)
