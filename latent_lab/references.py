"""Published few-label accuracies, as ``docs/references.csv`` has them: each with its setting and its source."""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).resolve().parent.parent / "docs" / "references.csv"


class Reference(NamedTuple):
    """A published method on one data set.

    Attributes:
        setting: what it saw: ``supervised``, ``semi-supervised`` or ``transductive``.
        figures: number of labels to accuracy and its deviation in per cent, as published (the latter empty if unknown).
        sources: number of labels to where that is from, and what is special about it.
    """

    name: str
    setting: str
    figures: dict[int, tuple[str, str]]
    sources: dict[int, str]


@cache
def references(dataset: str) -> list[Reference]:
    """What is published on a data set, in the order of the file."""
    found: dict[str, Reference] = {}
    with open(FILE, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["dataset"] == dataset:
                method = found.setdefault(row["name"], Reference(row["name"], row["setting"], {}, {}))
                method.figures[int(row["n_labels"])] = row["accuracy"], row["deviation"]
                method.sources[int(row["n_labels"])] = row["source"]
    return list(found.values())


def comparable(dataset: str, counts: list[int]) -> list[Reference]:
    """Those with a figure at any of these numbers of labels."""
    return [reference for reference in references(dataset) if reference.figures.keys() & set(counts)]


def sources(datasets: list[str], counts: list[int]) -> list[str]:
    """Where the figures at these numbers of labels are from: a line for each source, with the methods it is of, and the
    numbers of labels where another of a method's figures is from elsewhere."""
    of: dict[str, dict[str, None]] = {}
    for dataset in datasets:
        for reference in comparable(dataset, counts):
            shown = {count: source for count, source in reference.sources.items() if count in counts}
            for source in dict.fromkeys(shown.values()):
                at = ", ".join(str(count) for count in shown if shown[count] == source)
                name = f"{reference.name} ({at} labels)" if len(set(shown.values())) > 1 else reference.name
                of.setdefault(source, {})[name] = None
    return [f"{', '.join(names)}: {source}" for source, names in of.items()]
