"""What a GPU makes of an update: eager, compiled, captured as one CUDA graph, and of several fits side by side.

    python benchmarks/gpu.py paths.data=DIR [key=value ...] [--out gpu.md] [--minutes 10] [--models vae dcgan wgan_gp]

Networks this small leave a GPU waiting for launches. The aim is ten times the updates a second of this project's
training as it comes, by one fit or by all fits of a GPU together. For each model:

    ours       trainer.fit with TensorBoard, checkpoints and the losses' history: the yardstick
    captured   the whole update as one CUDA graph: the gather of its batch, all derivatives, Adam, the moving average
    bare       the same update launched kernel by kernel
    compiled   the same, each loss through torch.compile; the derivative in WGAN-GP's penalty by torch.func
    N fits     of different seeds, through the local launcher with per_gpu=N: updates of all, while all of them train

Before a captured or compiled update is timed, it is held to the eager one. A way that fails at that, or that can't be
had, stands in the table with the reason and without a figure. Each part has a process and a time limit of its own; the
table is written anew after each. All in the precision that train.py would choose. --device cpu runs what does not need
a GPU; its figures mean nothing.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

SIDE_BY_SIDE = {"1 fit": 1, "4 fits": 4, "8 fits": 8}  # of one GPU
GOAL = 10  # times the updates of ours
LIMITS = {"ours": 60, "captured": 60, "bare": 45, "compiled": 120}  # seconds, in this order; fits before the last
FIT = 10  # seconds that fits side by side train
ONE_GPU = os.environ | {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]}
HERE = Path(__file__).resolve().parent
COLUMNS = ("model", "way", "images/s", "updates/s", "x ours", "kernels an update", "launches an update", "remark")


@dataclass
class Report:
    """The table, written anew at each row.

    Args:
        file: Markdown.
        head: lines above the table.
    """

    file: Path
    head: list[str]
    rows: list[dict] = field(default_factory=list)

    def add(self, **row) -> None:
        """A row by its columns' names; ``updates/s`` decides ``x ours``."""
        ours = next((r.get("updates/s") for r in self.rows if (r["model"], r["way"]) == (row["model"], "ours")), None)
        if ours and row.get("updates/s"):
            row["x ours"] = row["updates/s"] / ours
        self.rows.append(row)
        self.file.write_text(self.text())
        print(_line(row), flush=True)

    def text(self) -> str:
        lines = [*self.head, "", _line({name: name for name in COLUMNS}), "|---" * len(COLUMNS) + "|"]
        lines += [*map(_line, self.rows), ""]
        for model in dict.fromkeys(row["model"] for row in self.rows):
            best = max((r for r in self.rows if r["model"] == model), key=lambda r: r.get("x ours") or 0)
            if times := best.get("x ours"):
                verdict = "reached" if times >= GOAL else "not reached"
                lines.append(f"{model}: {times:.1f} x ours by {best['way']}; {GOAL} x is {verdict}.")
            else:
                lines.append(f"{model}: nothing to set beside ours; {GOAL} x is not shown.")
        return "\n".join(lines) + "\n"


def _line(row: dict) -> str:
    cells = (row.get(name) for name in COLUMNS)
    shown = ("–" if cell is None else f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells)
    return f"| {' | '.join(shown)} |"


def measured(command: list[str], limit: float) -> dict:
    """What a part says in its last line of output, or a remark that says why it says nothing."""
    if limit <= 0:
        return {"remark": "NOT MEASURED: the minutes were over"}
    began = time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=ONE_GPU, start_new_session=True, **pipes)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return {"remark": f"NOT MEASURED: over its {limit:.0f} s"}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with all that it started: the next part has the GPU alone
        process.wait()
    if process.returncode or not out.strip():
        said = [line for line in err.splitlines() if line.strip()] or ["no word"]
        return {"remark": f"NOT MEASURED: {said[-1][:200]}".replace("|", "/")}
    print(f"  {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return json.loads(out.splitlines()[-1])


def about(device: str) -> list[str]:
    """The head of the table."""
    if device == "cuda" and not torch.cuda.is_available():
        print("gpu.py: no GPU is to be seen; --device cpu runs what does not need one", file=sys.stderr)
        sys.exit(2)
    name = torch.cuda.get_device_name() if device == "cuda" else "a CPU: the figures mean nothing"
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}, {time.strftime('%Y-%m-%d')}"
    return [f"# Updates on {name}", "", f"    {' '.join(['python benchmarks/gpu.py', *sys.argv[1:]])}", "", versions]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu.md"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--models", nargs="+", default=["vae", "dcgan", "wgan_gp"])
    parser.add_argument("--ways", nargs="+", choices=[*LIMITS, *SIDE_BY_SIDE], default=[*LIMITS, *SIDE_BY_SIDE])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--updates", type=int, help="of an epoch; all there are unless given")
    parser.add_argument("--fit-seconds", type=int, default=FIT, help="that fits side by side train")
    parser.add_argument("settings", nargs="*", help="as for train.py")
    arguments = parser.parse_intermixed_args()
    report = Report(arguments.out, about(arguments.device))
    deadline = time.monotonic() + 60 * arguments.minutes
    settings = [*arguments.settings, f"trainer.accelerator={'gpu' if arguments.device == 'cuda' else 'cpu'}"]
    parts = [(way, LIMITS[way], "gpu_part.py", [way, str(arguments.updates or 0)]) for way in LIMITS]
    seconds = arguments.fit_seconds
    fits = [(way, 4 * seconds + 60, "gpu_fits.py", [str(n), str(seconds)]) for way, n in SIDE_BY_SIDE.items()]
    parts[-1:-1] = fits  # ahead of what takes longest and matters least
    for way, limit, program, words in parts:
        for model in arguments.models if way in arguments.ways else ():
            command = [sys.executable, str(HERE / program), *words, f"model={model}", *settings]
            report.add(model=model, way=way, **measured(command, min(limit, deadline - time.monotonic())))
    print(f"\n{report.text()}\nwritten to {arguments.out}")


if __name__ == "__main__":
    main()
