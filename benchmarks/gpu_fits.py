"""Fits side by side on one GPU, through the local launcher: a part of gpu.py.

    python benchmarks/gpu_fits.py FITS SECONDS key=value ...

Prints a line of JSON with a row of gpu.py's table: updates of all fits together a second, between the moment when the
last of them has logged its first point and the moment when the first of them logs its last one: while all train, with
their start-up and their ends left out.
"""

import json
import subprocess
import sys
import tempfile
from bisect import bisect_right
from pathlib import Path

from race import read_job
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from latent_lab.targets import ROOT, build

HISTORY = "+callbacks.observers.history={_target_: callbacks.observers.loss_history.LossHistory, every_n_updates: 10}"
Points = list[tuple[float, int]]  # seconds, and updates until then


def logged(folder: Path) -> Points:
    """When a fit was at which update, by whatever it logged most often."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    series = [events.Scalars(tag) for tag in events.Tags()["scalars"]]
    return [(event.wall_time, event.step) for event in max(series, key=len, default=[])]


def together(fits: list[Points], least: float) -> float:
    """Updates of all a second while all train.

    Raises:
        RuntimeError: if that is for less than so many seconds.
    """
    begin, end = max(points[0][0] for points in fits), min(points[-1][0] for points in fits)
    if end - begin < least:
        raise RuntimeError(f"all fits trained at the same time for {end - begin:.1f} s only: give them more seconds")
    return sum(_at(points, end) - _at(points, begin) for points in fits) / (end - begin)


def _at(points: Points, moment: float) -> float:
    """The update at a moment, between the two points next to it."""
    number = min(bisect_right([seconds for seconds, _ in points], moment), len(points) - 1)
    (before, done), (after, then) = points[number - 1], points[number]
    return done + (then - done) * (moment - before) / (after - before)


def main() -> None:
    fits, seconds, *settings = sys.argv[1:]
    job = read_job(settings)
    adversarial = "n_critic" in job.config["model"]
    with tempfile.TemporaryDirectory() as folder:
        time = f"'00:00:{int(seconds) // 60:02}:{int(seconds) % 60:02}'"
        command = [
            sys.executable, "train.py", "-m", *settings, f"seed=range({fits})", "hydra/launcher=local",
            f"hydra.launcher.per_gpu={fits}", f"hydra.launcher.workers={fits}", f"paths.outputs={folder}",
            f"+trainer.max_time={time}", "trainer.max_epochs=100000", "trainer.log_every_n_steps=10",
            "+trainer.limit_test_batches=1", "callbacks=none", *[HISTORY] * adversarial,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(" ".join((done.stderr or done.stdout).split())[-300:])
        found = [logged(file.parent) for file in Path(folder).glob("fits/**/events.out.tfevents.*")]
    found = [points for points in found if len(points) > 1]
    if len(found) != int(fits):
        raise RuntimeError(f"{len(found)} of {fits} fits logged what they did")
    rate = together(found, int(seconds) / 5)
    data = build(job.config["dataset"])
    images = data.batch_size * job.config["model"].get("n_critic", 1)
    print(json.dumps({"images/s": rate * images, "updates/s": rate}))


if __name__ == "__main__":
    main()
