"""Training images per second of this project beside the loops one would write without it.

    python benchmarks/throughput.py paths.data=DIR [--batch 128 512] [--rounds 3] [--epochs 2] [--fast] [key=value ...]

In turn, round by round in one process, the same network with the same Adam (fused) and the same losses:

    bare         a plain loop over float32 tensors in memory, fp32: the yardstick
    ours         trainer.fit of this project with progress bar, TensorBoard and a checkpoint every epoch, fp32
    ours+val     the same with its validation pass every epoch
    torchvision  torchvision's MNIST with ToTensor, a shuffling DataLoader, a plain loop, fp32
    pythae       pythae's trainer, if installed (pip install pythae), fp32
    bf16, bf16+compile (with --fast)   ours in those modes

Figures are medians over the rounds; ratios are taken within each round, since machines drift. Whole epochs count, their
checkpoints and logging included; the first epoch (warm-up, compilation) does not. Settings are those of train.py.
"""

import argparse
import contextlib
import io
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

import compose
import fitting
import runs
from datamodules.images import to_unit_range


class EpochClock(pl.Callback):
    """Seconds from the start of the second epoch to the end of training."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            self.start = time.perf_counter()

    def on_train_end(self, trainer, pl_module):
        self.seconds = time.perf_counter() - self.start


def loss_of(model, x: torch.Tensor) -> torch.Tensor:
    """The model's training loss on images in [0, 1]."""
    reconstruction, kl, _ = model(model.see((x, None)))
    return reconstruction.mean() + model.beta * kl.sum(1).mean()


def adam(model) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters(), lr=model.lr, fused=True)


def timed_epochs(batches, model, epochs: int) -> float:
    """Images a second of a plain loop over ``batches()``, after twenty steps of warm-up."""
    model.train()
    optimizer = adam(model)

    def step(x):
        loss = loss_of(model, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return len(x)

    for _, x in zip(range(20), batches(), strict=False):
        step(x)
    start, images = time.perf_counter(), 0
    for _ in range(epochs):
        images += sum(step(x) for x in batches())
    return images / (time.perf_counter() - start)


def bare(config: dict, data, epochs: int) -> float:
    images, size = to_unit_range(data.train.images), config["dataset"]["batch_size"]

    def batches():
        order = torch.randperm(len(images))
        return (images[order[i : i + size]] for i in range(0, len(images) - size + 1, size))

    return timed_epochs(batches, fitting.build(config["model"]), epochs)


def torchvision_loop(config: dict, data, epochs: int) -> float:
    from torch.utils.data import Subset
    from torchvision.datasets import MNIST
    from torchvision.transforms import ToTensor

    dataset = Subset(MNIST(config["dataset"]["root"], transform=ToTensor()), range(len(data.train.images)))
    loader = DataLoader(dataset, config["dataset"]["batch_size"], shuffle=True, drop_last=True)
    return timed_epochs(lambda: (x for x, _ in loader), fitting.build(config["model"]), epochs)


def ours(config: dict, data, epochs: int, validate: bool = False, precision: str = "32-true", compiled: bool = False):
    trainer = {"max_epochs": epochs + 1, "precision": precision, "limit_val_batches": 1.0 if validate else 0}
    config = config | {"compile": compiled, "callbacks": {"fit": {}, "post_fit": {}}}
    config["trainer"] = config["trainer"] | trainer
    clock = EpochClock()
    with tempfile.TemporaryDirectory() as folder:
        config["paths"] = {"outputs": folder}
        fit = runs.Fit(config, "benchmark", Path(folder))
        fitting.train(config, fit, fitting.build(config["dataset"]), [clock])
    size = config["dataset"]["batch_size"]
    return epochs * (len(data.train.images) // size) * size / clock.seconds


def pythae_trainer(config: dict, data, epochs: int) -> float:
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            mean, log_var = self.net(torch.bernoulli(x)).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, z):
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    model = fitting.build(config["model"])
    shape = tuple(config["dataset"]["shape"])
    settings = VAEConfig(input_dim=shape, latent_dim=model.latent_dim, reconstruction_loss="bce")
    vae = VAE(settings, encoder=Encoder(model.encoder), decoder=Decoder(model.decoder))
    images = BaseDataset(to_unit_range(data.train.images), data.train.targets)
    with tempfile.TemporaryDirectory() as folder:
        training = BaseTrainerConfig(
            output_dir=folder, num_epochs=epochs, per_device_train_batch_size=config["dataset"]["batch_size"],
            learning_rate=model.lr, optimizer_cls="Adam", optimizer_params={"fused": True}, no_cuda=True,
        )  # fmt: skip
        trainer = BaseTrainer(vae, images, training_config=training)
        trainer.prepare_training()
        vae.train()
        start = time.perf_counter()
        for epoch in range(1, epochs + 1):
            events = {"training_config": training, "epoch": epoch}
            trainer.callback_handler.on_epoch_begin(train_loader=trainer.train_loader, eval_loader=None, **events)
            trainer.train_step(epoch)
        return epochs * len(images) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2, help="timed epochs of each contestant in a round")
    parser.add_argument("--fast", action="store_true", help="also bf16 and compiled")
    parser.add_argument("settings", nargs="*", help="as for train.py; model=vae_mlp dataset=mnist unless given")
    arguments = parser.parse_intermixed_args()
    logging.disable(logging.WARNING)
    fitting.quiet()

    contestants = {"bare": bare, "ours": ours, "ours+val": lambda *a: ours(*a, validate=True)}
    contestants["torchvision"] = torchvision_loop
    with contextlib.suppress(ImportError):
        import pythae  # noqa: F401

        contestants["pythae"] = pythae_trainer
    if arguments.fast:
        contestants["bf16"] = lambda *a: ours(*a, precision="bf16-mixed")
        contestants["bf16+compile"] = lambda *a: ours(*a, precision="bf16-mixed", compiled=True)
    console, progress = Console(width=100, file=sys.stdout), Console(file=sys.stderr)
    for batch in arguments.batch:
        settings = ["model=vae_mlp", "dataset=mnist", *arguments.settings, f"dataset.batch_size={batch}"]
        command = compose.read_command("train", [*settings, "trainer.precision=32-true"])
        config = fitting.plain(command.jobs[0])
        data = fitting.build(config["dataset"])
        data.setup()
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        for number in range(arguments.rounds):
            for name, contestant in contestants.items():
                progress.print(f"batch {batch}, round {number + 1}/{arguments.rounds}: {name}")
                # the bars are drawn as for a user, into a buffer
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    rates[name].append(contestant(config, data, arguments.epochs))
        table = Table(title=f"{command.choices[0]['model']}, batch {batch}, {torch.get_num_threads()} threads")
        for column in ("", "images/s", *(f"/ {name}" for name in ("bare", "torchvision", "pythae") if name in rates)):
            table.add_column(column, justify="right")
        for name, values in rates.items():
            ratios = [
                statistics.median(mine / other for mine, other in zip(values, rates[column], strict=True))
                for column in ("bare", "torchvision", "pythae")
                if column in rates
            ]
            table.add_row(name, f"{statistics.median(values):,.0f}", *(f"{ratio:.2f}" for ratio in ratios))
        console.print(table)


if __name__ == "__main__":
    main()
