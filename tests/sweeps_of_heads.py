"""Results of sweeps over heads as they lie in a folder, made up."""

import json
import random
from pathlib import Path

from latent_lab import report

HEADS = (
    ("linear_svc", None, "supervised"),
    ("rbf_svc", None, "supervised"),
    ("logistic", None, "supervised"),
    ("knn", None, "supervised"),
    ("self_training", None, "semi-supervised"),
    ("tsvm", None, "semi-supervised"),
    ("laplace", None, "semi-supervised"),
    ("poisson", None, "semi-supervised"),
    ("spreading", None, "semi-supervised"),
    ("linear_svc", "poisson", "semi-supervised"),
    ("auto", None, "semi-supervised"),
    ("poisson", None, "transductive"),
)
COUNTS = (100, 600, 1000, 3000)


def write_job(
    folder: Path, classifier: str, accuracy: float | None, dataset="mnist", n_labels=100, draw=0, seed=0, **more
) -> Path:
    """A job of a sweep over heads: done, or failed without an accuracy; ``more`` goes into its result."""
    spread, saw = more.pop("spread", None), more.pop("supervision", "supervised")
    model = more.pop("model", "vae")
    choices = {"model": model, "dataset": dataset, "classifier": classifier} | ({"spread": spread} if spread else {})
    named = choices | {"n_labels": n_labels, "label_seed": draw, "seed": seed}
    if saw == "transductive":
        named["transductive"] = True
    words = [f"{key}={str(value).lower() if value is True else value}" for key, value in named.items()]
    curve = f"{model} {dataset} {classifier} {spread} {saw}"
    done = accuracy is not None
    result = {
        "status": "ok" if done else "failed", "error": None if done else "ValueError: no", "choices": choices,
        "settings": named, "overrides": [*words, "sweep='heads'", "paths.data='/data'"], "n_labels": n_labels,
        "label_seed": draw, "seed": seed, "headline": report.FEW_LABELS, "repeats": ["label_seed", "seed"],
        "metrics": dict.fromkeys(report.FEW_LABELS, accuracy) if done else {}, "seconds": {"total": 1.0},
        "scored_on": "test", "curve": curve, "setting": f"{curve} {n_labels}", "created": "2026-01-01",
    }  # fmt: skip
    if done:
        result["supervision"] = saw
    job = folder / ",".join(sorted(words))
    job.mkdir(parents=True)
    (job / "result.json").write_text(json.dumps(result | more))
    (job / "config.yaml").write_text("")
    return job


def write_sweep(folder: Path, heads=HEADS, draws=10, seeds=3, datasets=("mnist", "fashion"), models=("vae",)) -> None:
    """A sweep over heads, with accuracies as one expects them of such heads, drawn by ``random``."""
    start = {"mnist": (93.5, 96.5, 97.0, 97.6), "fashion": (74.0, 80.5, 82.0, 84.2)}
    best = {"mnist": (98.2, 98.3, 98.4, 98.5), "fashion": (78.0, 82.0, 83.0, 85.0)}
    noise = random.Random(0)
    for model in models:
        for dataset in datasets:
            for rank, (classifier, spread, saw) in enumerate(heads):
                share = (rank / max(len(heads) - 1, 1)) ** 0.6
                for number, n_labels in enumerate(COUNTS):
                    mean = (1 - share) * start[dataset][number] + share * best[dataset][number] - (model != "vae")
                    for seed in range(seeds):
                        for draw in range(draws):
                            accuracy = (mean + noise.gauss(0, 0.4 / (number + 1)) + 0.1 * seed) / 100
                            facts = {"spread": spread, "supervision": saw, "model": model}
                            write_job(folder, classifier, accuracy, dataset, n_labels, draw, seed, **facts)
