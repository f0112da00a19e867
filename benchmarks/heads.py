"""What each classifier of conf/classifier costs, in CPU seconds of single-threaded processes, and in memory.

    python benchmarks/heads.py [--heads linear_svc laplace] [--n 10000 55000 65000] [--labels 100]

Each in a process of its own, on codes drawn from ten Gaussians in 128 dimensions whose widths fall off as those of a
VAE's codes do, with as many labels, the same number of each class. Their difficulty is not that of images: what a
solver takes until it has converged may be different there.

    graph      the nearest codes of all codes, found once for a fit, its transductive jobs apart
    new codes  the nearest codes of 10,000 others, likewise
    fit        to a draw of the labels, on the finished graph if it uses one; the first in its process
    again      to a further draw
    predict    the classes of 10,000 new codes, on the finished graph
    memory     the most that the process held, less what it held before the first of these

A head that failed has its last line instead. The table is Markdown.
"""

import argparse
import itertools
import json
import resource
import sys
import time

# Nothing large is imported up here: Linux counts what a process's parent held to its memory.
from scale import ROOT, used

HEADS = tuple(sorted(path.stem for path in (ROOT / "conf" / "classifier").glob("*.yaml")))
COLUMNS = ("graph", "new codes", "fit", "again", "predict")
MEASURE = "--measure"  # one head, in a process of its own
DIMS, CLASSES, NEW, NEIGHBOURS = 128, 10, 10_000, 20


def megabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def measure(name: str, n: int, n_labels: int) -> dict[str, float]:
    """Seconds by the columns' names, and megabytes, of one head in this process."""
    import numpy as np

    from classifiers.choosing import fit
    from classifiers.neighbours import nearest_codes
    from datamodules.labels import draw_labels
    from latent_lab.command import read_command
    from latent_lab.targets import build

    rng = np.random.default_rng(0)
    widths = np.geomspace(1, 0.1, DIMS)
    centres = rng.normal(0, 1, (CLASSES, DIMS)) * widths
    truth = rng.integers(0, CLASSES, n + NEW)
    codes = (centres[truth] + rng.normal(0, 1, (n + NEW, DIMS)) * widths).astype(np.float32)
    codes, new, truth = codes[:n].copy(), codes[n:].copy(), truth[:n]
    head = build(read_command("train", [f"classifier={name}", "dataset=digits"]).jobs[0].config["classifier"])
    before, found = megabytes(), {}

    def timed(column: str, call, *arguments):
        start = time.process_time()
        result = call(*arguments)
        found[column] = time.process_time() - start
        return result

    among, of_new = None, {}
    if k := getattr(head, "neighbours", None):
        among = timed("graph", nearest_codes, codes, max(k, NEIGHBOURS))
        of_new = {"nearest": timed("new codes", nearest_codes, codes, max(k, NEIGHBOURS), new)}
    for column, draw in (("fit", 0), ("again", 1)):
        labels = np.full(n, -1)
        drawn = draw_labels(truth, n_labels, draw)
        labels[drawn] = truth[drawn]
        timed(column, fit, head, codes, labels, among)
    timed("predict", lambda: head.predict(new, **of_new))
    return found | {"memory": megabytes() - before}


def row(name: str, n: int, n_labels: int) -> str:
    """A line of the table, measured in a process of its own."""
    try:
        said = used(__file__, MEASURE, name, str(n), str(n_labels)).output
        found = json.loads(said.splitlines()[-1])
    except RuntimeError as error:
        return f"| {name} | {n:,} | {str(error).splitlines()[-1]} |" + " |" * len(COLUMNS)
    cells = (f"{found[column]:.2f} s" if column in found else "–" for column in COLUMNS)
    return f"| {name} | {n:,} | {' | '.join(cells)} | {found['memory']:.0f} MB |"


def main() -> None:
    if sys.argv[1:2] == [MEASURE]:
        sys.path.insert(0, str(ROOT))
        print(json.dumps(measure(sys.argv[2], *map(int, sys.argv[3:]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=HEADS, metavar="HEAD")
    parser.add_argument("--n", nargs="+", type=int, default=[10_000, 55_000, 65_000], help="numbers of codes")
    parser.add_argument("--labels", type=int, default=100, help="how many of the codes are labelled")
    arguments = parser.parse_args()
    print(f"| head | codes | {' | '.join(COLUMNS)} | memory |\n|:--|" + "--:|" * (len(COLUMNS) + 2))
    for name, n in itertools.product(arguments.heads, arguments.n):
        print(row(name, n, arguments.labels), flush=True)


if __name__ == "__main__":
    main()
