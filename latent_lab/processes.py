"""A fit in several processes on one machine: how they are started, and Lightning's part in it.

Lightning's launcher runs the command line again in each process, a whole sweep inside the sweep
(pytorch-lightning#11300). Here each new process is given what the command came to, and builds all it needs from that;
what the fit leaves is in its folder, so nothing need come back.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import parent_process

import torch.multiprocessing as mp
from lightning_fabric.plugins.environments.lightning import find_free_network_port
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch.multiprocessing.spawn import ProcessException

from lightning_modules.parallel import share_batch_norms


class UnwrappedDDP(DDPStrategy):
    """Lightning's group of processes without the wrapper around the model, which exchanges its gradients itself
    (``lightning_modules.parallel``). The processes build the same weights from the same seed."""

    def __init__(self):
        super().__init__(cluster_environment=LightningEnvironment())

    def configure_ddp(self) -> None:
        share_batch_norms(self.model)


def launch(processes: int, function: Callable, *args) -> None:
    """Calls ``function(*args)``, all of it picklable, in as many new processes, and waits for them.

    If one fails, or this process is told to end, all are ended.

    Raises:
        RuntimeError: what a process raised, in its last line.
    """
    started = mp.start_processes(
        _enter, (find_free_network_port(), function, args), processes, join=False, start_method="spawn"
    )
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        while not started.join():
            pass
    except ProcessException as error:
        last = str(error).rstrip().splitlines()[-1]
        raise RuntimeError(f"process {error.error_index} of {processes}: {last}") from error
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in started.processes:
            process.kill()  # as by a power cut: files are written atomically
            process.join()


def _enter(number: int, port: int, function: Callable, args: tuple) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # which tell Lightning's environment that the processes are there
    os.environ |= {"LOCAL_RANK": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    function(*args)


def _end_with_parent() -> None:
    """So that, where the parent is killed, the next one to continue the fit is alone with it."""
    parent_process().join()
    os._exit(1)
