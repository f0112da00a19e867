"""One way to make an update of one model, held to the eager one and timed: a part of gpu.py, in a process of its own.

    python benchmarks/gpu_part.py ours|captured|bare|compiled UPDATES key=value ...

Prints a line of JSON with a row of gpu.py's table. UPDATES are those of an epoch, 0 for all there are.
"""

import contextlib
import io
import json
import logging
import sys
import time
from collections.abc import Callable

import pytorch_lightning as pl
import race as racing
import steps
import torch
from race import Race, read_job
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from datamodules.images import Images
from latent_lab.trainer_settings import resolve_precision
from latent_lab.training import quiet
from lightning_modules.wgan_gp import WGANGP, penalty, points_between

WARM_UP = 11  # updates before a capture or a clock: cuDNN chooses, Adam makes its state
COMPARED = 8  # updates that a captured one is compared over
SEED = 1
EPOCHS = 3
SECONDS = 4.0  # that a plain loop is timed
PROFILED = 10  # updates, of which launches are counted
SAME = 0.01  # of the way that weights went, or of a gradient: how far another may be from it
SAME_BF16 = 0.05  # likewise of a compiled gradient in bfloat16, whose sums are rounded elsewhere


def now() -> float:
    """Seconds, once the device is done with what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Feed:
    """Batches by gathers from a permutation that lies on the device, as does the place in it: all of an update's data
    come from kernels, so that a graph can hold them. A new permutation is copied over the old one.

    Args:
        data: set up.
        size: images of an update.
        device: to put them on.
    """

    def __init__(self, data: Images, size: int, device: torch.device):
        self.as_seen, self.size = data.as_seen, size
        self.images, self.targets = (tensor.to(device) for tensor in data.train)
        self.offsets = torch.arange(size, device=device)
        self.at = torch.zeros((), dtype=torch.int64, device=device)
        self.updates = len(self.images) // size  # in an epoch
        self.order = torch.empty(self.updates * size, dtype=torch.int64, device=device)
        self.shuffle(0)

    def shuffle(self, epoch: int) -> None:
        """Begins an epoch."""
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(epoch))
        self.order.copy_(order[: len(self.order)])
        self.at.zero_()

    def __call__(self) -> tuple[Tensor, Tensor]:
        rows = self.order.index_select(0, self.at + self.offsets)
        self.at.add_(self.size).remainder_(len(self.order))
        return self.as_seen(self.images.index_select(0, rows)), self.targets.index_select(0, rows)


class Contestant:
    """A model with its bare update and its data, on a device.

    Args:
        race: says which.
        device: to train on.
        precision: as Lightning calls it.
        settings: of :func:`steps.bare`.
    """

    def __init__(self, race: Race, device: torch.device, precision: str, **settings):
        torch.manual_seed(SEED)
        self.model = race.model().to(device)
        self.step = steps.bare(self.model, precision, averaging=True, **settings)
        self.feed = Feed(race.data, race.images_per_update, device)
        self.first = {name: value.clone() for name, value in self.model.state_dict().items()}

    def update(self) -> None:
        self.step(self.feed())

    def restart(self) -> None:
        """As at the beginning, in place: a graph holds the tensors themselves."""
        self.model.load_state_dict(self.first)
        for optimizer in self.step.optimizers:
            for state in optimizer.state.values():
                for tensor in state.values():
                    tensor.zero_()
        self.feed.shuffle(0)
        torch.manual_seed(SEED)

    def way(self, update: Callable[[], None]) -> Tensor:
        """Where so many updates from the beginning take the weights: the differences, in one row."""
        self.restart()
        for _ in range(COMPARED):
            update()
        return torch.cat([(w.detach() - self.first[n]).flatten() for n, w in self.model.named_parameters()])

    def gradients(self) -> dict[str, Tensor]:
        """Of an update at the first weights, which it leaves as they are: each network's, in one row."""
        self.restart()
        for optimizer in self.step.optimizers:
            for group in optimizer.param_groups:
                group["lr"], group["weight_decay"] = 0.0, 0.0
        self.update()
        found: dict[str, list[Tensor]] = {}
        for name, weights in self.model.named_parameters():
            if weights.grad is not None:
                found.setdefault(name.partition(".")[0], []).append(weights.grad.flatten())
        return {network: torch.cat(parts) for network, parts in found.items()}


def distance(one: Tensor, other: Tensor) -> float:
    """Of one row from another, relative to the other's length."""
    return float(torch.linalg.vector_norm(one - other) / torch.linalg.vector_norm(other))


def require_same(what: str, by: float, allowed: float) -> str:
    """A remark that says by how much it differs.

    Raises:
        RuntimeError: if that is too much, or no number.
    """
    if not by <= allowed:
        raise RuntimeError(f"{what} differs from eager by {by:.2g}, more than {allowed:.2g}: it is not the same update")
    return f"{what} as eager but for {by:.1g} (allowed {allowed:.1g})"


def capture(update: Callable[[], None]) -> Callable[[], None]:
    """An update as one CUDA graph, with a memory pool of its own; the default generator's draws go on from replay to
    replay. Gradients are None when the update begins, so its backward passes make them within that pool."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            update()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        update()
    return graph.replay


def captured(race: Race, device: torch.device, precision: str) -> dict:
    if device.type != "cuda":
        raise RuntimeError("a CUDA graph needs a GPU")
    contestant = Contestant(race, device, precision, capturable=True)
    replay = capture(contestant.update)
    eager = contestant.way(contestant.update)
    noise = distance(contestant.way(contestant.update), eager)  # kernels that add in any order
    by = distance(contestant.way(replay), eager)
    remark = require_same(f"way of {COMPARED} updates", by, SAME + 3 * noise)
    return timed(race, contestant, replay) | {"remark": remark}


def bare(race: Race, device: torch.device, precision: str) -> dict:
    contestant = Contestant(race, device, precision)
    return timed(race, contestant, contestant.update)


def compiled(race: Race, device: torch.device, precision: str) -> dict:
    import torch._inductor.config

    torch._inductor.config.fallback_random = True  # eager's draws, to be compared
    torch._dynamo.config.suppress_errors = False
    expected = Contestant(race, device, precision).gradients()
    contestant = Contestant(race, device, precision, compiled=whole)
    if isinstance(contestant.model, WGANGP):
        contestant.step.critic_loss = whole(penalised(contestant.model))
    found = contestant.gradients()
    by = max(distance(found[network], gradient) for network, gradient in expected.items())
    remark = require_same("gradient", by, SAME if precision == "32-true" else SAME_BF16)
    return timed(race, contestant, contestant.update) | {"remark": remark}


def whole(function: Callable) -> Callable:
    """Compiled as one graph, or not at all: no part falls back to eager unseen."""
    return torch.compile(function, fullgraph=True)


def penalised(model: WGANGP) -> Callable[[Tensor, Tensor], Tensor]:
    """The critic's loss with the inner derivative by torch.func: a double backward through a compiled critic is refused
    (pytorch#91469), or was silently wrong (pytorch#181581)."""

    def loss(real: Tensor, fake: Tensor) -> Tensor:
        points = points_between(real, fake)
        scores = model.scores(real, fake)
        gradient = torch.func.grad(lambda x: model.critic(x).float().sum())(points)
        norms = torch.linalg.vector_norm(gradient.float().flatten(1), dim=1)
        return model.penalty_weight * penalty(norms) + model.loss.critic(*scores)

    return loss


def timed(race: Race, contestant: Contestant, update: Callable[[], None]) -> dict:
    """Updates a second of a plain loop, a new order each epoch; then launches."""
    for _ in range(WARM_UP):
        update()
    updates, epoch, start = 0, 0, now()
    while time.perf_counter() - start < SECONDS and epoch < 100:
        epoch += 1
        contestant.feed.shuffle(epoch)
        for _ in range(race.updates):
            update()
        updates += race.updates
        rate = updates / (now() - start)
    return row(race, rate) | launches(update)


def row(race: Race, rate: float) -> dict:
    return {"images/s": rate * race.images_per_update, "updates/s": rate}


def launches(update: Callable[[], None]) -> dict:
    """Kernels that run in an update, and launches that the CPU makes for them."""
    if not torch.cuda.is_available():
        return {}
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        for _ in range(PROFILED):
            update()
        torch.cuda.synchronize()
    return counted(profiled)


def counted(profiled: profile) -> dict:
    kernels = launched = 0
    for event in profiled.events():
        if event.device_type == DeviceType.CUDA:
            kernels += not event.is_user_annotation and not event.name.startswith(("Memcpy", "Memset"))
        else:
            launched += event.name.startswith(("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cuGraphLaunch"))
    return {"kernels an update": kernels / PROFILED, "launches an update": launched / PROFILED}


class Launches(pl.Callback):
    """Counts those of some steps of a fit."""

    def __init__(self):
        self.profiled = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if batch_idx == WARM_UP and trainer.current_epoch == 0:
            torch.cuda.synchronize()
            self.profiled.start()
        if batch_idx == WARM_UP + PROFILED and trainer.current_epoch == 0:
            torch.cuda.synchronize()
            self.profiled.stop()


def ours(race: Race, device: torch.device, precision: str) -> dict:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = row(race, racing.ours(race, precision=precision) / race.images_per_update)
        if device.type == "cuda":
            watch = Launches()
            race.epochs = 0
            racing.fit(race, [watch], precision)
            found |= counted(watch.profiled)
    return found


WAYS = {"ours": ours, "captured": captured, "bare": bare, "compiled": compiled}


def main() -> None:
    way, updates, *settings = sys.argv[1:]
    logging.disable(logging.WARNING)
    quiet()
    job = read_job(settings)
    accelerator = job.config["trainer"]["accelerator"]
    precision = resolve_precision(job.config["trainer"]["precision"], accelerator)
    race = Race(job, EPOCHS, int(updates) or None, now)
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    found = WAYS[way](race, device, precision)
    found["remark"] = "; ".join(filter(None, [precision, found.get("remark")]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
