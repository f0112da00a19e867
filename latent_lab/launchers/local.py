"""Units side by side in worker processes on this machine: ``hydra/launcher=local``."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from latent_lab import written_plan
from latent_lab.launchers.driving import driven
from latent_lab.launchers.pool import Pool
from latent_lab.mistakes import Mistake

if TYPE_CHECKING:
    from latent_lab.plan import Plan

MEMORY = 1e9  # bytes that a worker takes beside its data: torch alone is half of that


class Local:
    """Worker processes that take one unit after another, each with its share of the CPU's threads, or its GPUs.

    Args:
        workers: how many; ``auto``: one for each GPU, or for each core where there is none and memory suffices. Never
            more than units.
        per_gpu: workers that share a GPU: small networks leave most of one idle.
    """

    decides = True

    def __init__(self, workers: int | str = "auto", per_gpu: int = 1):
        for name, value in {"workers": workers, "per_gpu": per_gpu}.items():
            if not (type(value) is int and value >= 1) and not (name == "workers" and value == "auto"):
                auto = " or auto" * (name == "workers")
                raise ValueError(f"hydra.launcher.{name}={value}: expects a positive whole number{auto}")
        self.workers, self.per_gpu = workers, per_gpu

    def launch(self, plan: "Plan", folder: Path, logging: dict) -> bool:
        """Runs every unit. Whatever becomes of a job, its ``result.json`` says so; a failure stops no other.

        Raises:
            KeyboardInterrupt, SystemExit: when told to stop, after all workers have.
            Mistake: if another process, or the cluster, is at it.
        """
        trainers = [unit.fit.config["trainer"] for unit in plan.units]
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            with driven(folder):
                for phase in written_plan.write(plan, folder, logging):
                    Pool(folder, phase, self.environments(len(phase), trainers)).run()
        finally:
            signal.signal(signal.SIGTERM, before)
        return True

    def environments(self, units: int, trainers: list[dict], gpus: Callable[[], list[str]] | None = None) -> list[dict]:
        """What each worker's environment has: its threads, and the GPUs it sees.

        Args:
            units: to be done.
            trainers: the trainers' settings of all of them.
            gpus: gives the names of this machine's.
        """
        on_gpu = any(trainer["accelerator"] in ("auto", "gpu", "cuda") for trainer in trainers)
        names = (gpus or _gpus)() if on_gpu else []
        devices = max(trainer["devices"] for trainer in trainers)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        if names and devices > len(names):
            raise Mistake(f"trainer.devices={devices}: there are {len(names)} GPUs")
        groups = [names[at : at + devices] for at in range(0, len(names) - devices + 1, devices)] if names else []
        places = len(groups) * self.per_gpu or max(1, min(cores // devices, _memory() // MEMORY))
        count = int(min(places if self.workers == "auto" else self.workers, units))
        threads = max(1, cores // (count * devices))
        shares = {}
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            said = os.environ.get(name, "")
            shares[name] = str(min(threads, int(said)) if said.isdigit() and int(said) else threads)
        seen = [{"CUDA_VISIBLE_DEVICES": ",".join(groups[n % len(groups)])} if groups else {} for n in range(count)]
        return [shares | own for own in seen]


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    if not torch.cuda.is_available():
        return []
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible or [str(number) for number in range(torch.cuda.device_count())]


def _memory() -> float:
    """Bytes of memory that are free, or could be."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return float("inf")


def _stop(signum: int, _) -> None:
    raise SystemExit(128 + signum)
