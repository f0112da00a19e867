"""The results in a sweep's folder; the rows that a table makes of them are of :mod:`latent_lab.rows`.

A result says itself how it is shown: which metrics make a table (``headline``: name to ``percent`` or ``number``) and
over what they are averaged (``repeats``: the draw of the labels and the seed of the fit, or the seed). Those that agree
in both share a table.
"""

import contextlib
import math
import re
from pathlib import Path

from latent_lab.folders import is_name
from latent_lab.shapes import mismatch
from latent_lab.storage import DamagedFile, checksum_of_file, damaged, read_json

LAST = ("label_seed", "seed")  # what rows are told apart by last
LEADING = ("model", "dataset", "n_labels")  # shown first, and always where a job has them
NOT_SHOWN = ("callbacks", "logger", "trainer", "experiment", "loss")  # groups whose options say what others say too
NO_RESULT = "no result (running, or killed)"
HEAVY = ("versions", "confusion", "class_names", "verdict", "requires", "place")  # what no table shows
JOB_AGAIN = "the job's command makes it again"
NOTHING = type(None)
RESULT = {  # what any reader of a result takes of it
    "status": str, "choices?": {str: str | None}, "settings?": dict, "overrides?": [str],
    "metrics?": {str: float | None}, "seconds?": {str: float}, "headline?": (NOTHING, {str: str}), "repeats?": [str],
    "error?": str | None, "fit?": str, "requires?": {str: str}, "statement?": str | None, "summary?": str | None,
    "fit_created?": str | None, "fit_reused?": bool | None, "created?": str, "job?": str, "setting?": str | None,
    "curve?": str | None, "n_labels?": int | str | None, "label_seed?": int | None, "seed?": int | None,
    "files?": {str: str}, "scored_on?": str | None, "labels?": str | None, "labels_sha256?": str | None,
    "unlabelled?": int | None, "code_dims?": int | None, "inductive?": bool | None, "supervision?": str | None,
    "chosen?": dict | None, "warning?": str | None, "confusion?": (NOTHING, [[int]]), "class_names?": list | None,
    "verdict?": (NOTHING, {"labels?": {int: str}, "reasons?": {str: [str]}, "best?": int | None}),
    "convergence?": (NOTHING, {"state?": str | None}), "versions?": (NOTHING, {str: str | None}),
    "place?": (NOTHING, {"gpu?": str | None}),
}  # fmt: skip
DONE = {"choices": dict, "metrics": dict}  # what a job that is done says besides
MOST = 1e150  # of a number, so that its square is one: charts and spreads are made of them
STATUSES = ("ok", "failed", "interrupted")
BOUNDS = {"_floor": "floor", "_limit": "limit"}  # endings of metrics that others are compared with, and their names


def read_results(folder: Path) -> list[dict]:
    """The results of the jobs in a sweep's folder, each with its ``job_name``, its folder's; a job that wrote none, or
    wrote one that can't be read, is there as failed."""
    results = []
    for job in sorted(path for path in folder.iterdir() if path.is_dir()):
        if (job / "result.json").exists():
            try:
                content = read_result(job)
                results.append({k: v for k, v in content.items() if k not in HEAVY} | {"job_name": job.name})
            except DamagedFile as error:
                results.append({"status": "failed", "job_name": job.name, "error": str(error)})
        elif (job / "train.log").exists() or (job / "config.yaml").exists():
            results.append({"status": "failed", "job_name": job.name, "error": NO_RESULT})
    return in_order(results)


def in_order(results: list[dict]) -> list[dict]:
    """Results by the values of their settings, numbers as numbers: 100 before 1000; what has none last, by its name."""
    said = [settings(result) | {"seed": result.get("seed")} if "choices" in result else {} for result in results]
    keys = dict.fromkeys([*LEADING, *(key for values in said for key in values)])
    keys = [*(key for key in keys if key not in LAST), *LAST]
    order = sorted(
        range(len(results)),
        key=lambda at: (not said[at], [sortable(said[at].get(key)) for key in keys], results[at]["job_name"]),
    )
    return [results[at] for at in order]


def read_result(folder: Path) -> dict:
    """The ``result.json`` in a job's folder.

    Raises:
        DamagedFile: if it is none.
    """
    file = folder / "result.json"
    result = read_json(file, RESULT, JOB_AGAIN)
    if result["status"] not in STATUSES:
        raise damaged(file, f"status is {result['status']}, expects {', '.join(STATUSES)}", JOB_AGAIN)
    wrong = mismatch(result, DONE) if result["status"] == "ok" else ""
    counts = result.get("confusion") or []
    if not wrong and any(len(row) != len(counts) for row in counts):
        wrong = "confusion is not as wide as high"
    numbers = result.get("metrics", {}) | result.get("seconds", {})
    numbers |= {name: result.get(name) for name in ("n_labels", "label_seed", "seed")}
    for name, value in numbers.items() if not wrong else ():
        if isinstance(value, int | float) and abs(value) > MOST:
            wrong = f"{name} is beyond {MOST:.0e}"
    if wrong:
        raise damaged(file, wrong, JOB_AGAIN)
    return result


def checksums(folder: Path) -> dict[str, str]:
    """Of the files that a job left in its folder, beside its result and its log, by their names."""
    names = [path.name for path in sorted(folder.iterdir()) if path.is_file()]
    return {name: checksum_of_file(folder / name) for name in names if name not in ("result.json", "train.log")}


def require_as_written(file: Path, result: dict) -> None:
    """Raises DamagedFile if a file in a job's folder is not what the job of that result left there."""
    expected = result.get("files", {}).get(file.name)
    try:
        found = checksum_of_file(file) if expected else expected
    except OSError as error:
        raise damaged(file, error.strerror, JOB_AGAIN) from None
    if found != expected:
        raise damaged(file, "its checksum is another: damaged, or edited", JOB_AGAIN)


def fit_folder(run: Path, name: str) -> Path:
    """The fit's folder beside the folder of runs or sweeps that a job's folder lies in."""
    if not is_name(name):
        raise ValueError(f"{run / 'result.json'}: fit={name} is no name of a fit; {JOB_AGAIN}")
    for parent in run.resolve().parents:
        if (parent / "fits" / name).is_dir():
            return parent / "fits" / name
    raise ValueError(f"{run}: its fit {name} is not in a folder fits/ above it")


def ended(result: dict, name: str | None = None) -> str:
    """How a job that is not done ended, with its name in between: ``failed: NAME: ValueError: ...``, ``not begun``."""
    status, error = result["status"], result.get("error")
    return ": ".join(part for part in (status, name, None if error == status else error) if part)


def left(folder: Path, result: dict, name: str) -> Path | None:
    """A file that a job left in its folder, if it is as the job left it: what was damaged since is not shown."""
    file = folder / name
    with contextlib.suppress(DamagedFile, OSError):
        require_as_written(file, result)
        return file if file.is_file() else None


def settings(result: dict) -> dict:
    """What a job was, with values of their kinds: its choices of groups, its labels, and what its command named."""
    if "choices" not in result:
        return {}
    named = result.get("settings", {})
    choices = {k: v for k, v in result["choices"].items() if k not in NOT_SHOWN or k in named}
    labels = {k: result[k] for k in ("n_labels", "label_seed") if result.get(k) is not None}
    return choices | {k: v for k, v in named.items() if k not in choices} | labels


def kinds(results: list[dict]) -> list[list[dict]]:
    """The results in groups that share a table, of like figures on like images; what can't be read is in none."""
    groups: dict[tuple, list[dict]] = {}
    for result in results:
        if "choices" in result:
            groups.setdefault((*headline(result).items(), *repeats(result), result.get("scored_on")), []).append(result)
    return list(groups.values())


def headline(result: dict) -> dict[str, str]:
    """The metrics of a result's table, each with its form."""
    return result.get("headline") or dict.fromkeys(result.get("metrics", {}), "number")


def repeats(result: dict) -> list[str]:
    """The settings that its table averages over."""
    return result.get("repeats", ["seed"])


def supervision(result: dict) -> str | None:
    """What the classifier of a result saw, in the words of ``classifiers/supervision.py``; None where it is not said,
    as by a job that failed. Results from before those words say whether they are inductive."""
    before = {True: "supervised", False: "transductive"}
    return result.get("supervision") or before.get(result.get("inductive"))


def split(kind: list[dict]) -> str:
    """``Test`` or ``Validation``: which images results of one kind are scored on."""
    return "Validation" if any(result.get("scored_on") == "validation" for result in kind) else "Test"


def titled(kind: list[dict]) -> str:
    """``Test-set figures``, ``Validation-set figures``; ``Figures`` of points in the plane, which have no test set: the
    distribution itself is what their jobs, which say their ``convergence``, are scored on."""
    return "Figures" if any("convergence" in result for result in kind) else f"{split(kind)}-set figures"


def forms(kind: list[dict]) -> dict[str, str]:
    """The :func:`headline` of results of one kind, without metrics that none of them has."""
    given = {name for result in kind for name in result.get("metrics", {})}
    return {name: form for name, form in headline(kind[0]).items() if name in given or not given}


def is_bound(metric: str) -> bool:
    """Whether a metric is a floor or a limit that others are compared with."""
    return metric.endswith(tuple(BOUNDS))


def short(key: str) -> str:
    """A setting's name without its group: ``decoder.hidden``, ``lr_critic``."""
    return key.partition(".")[2] or key


def sortable(value) -> tuple:
    """What a value is sorted by: numbers, also in texts and lists, as numbers; other texts as texts; none last."""
    if value is None:
        return (3,)
    if isinstance(value, list | tuple):
        return 1, [sortable(item) for item in value]
    with contextlib.suppress(TypeError, ValueError):
        if not math.isnan(number := float(value)):
            return 0, number
    parts = re.split(r"(\d+)", str(value))
    return 2, [(int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts)], str(value)
