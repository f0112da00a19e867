"""Heads on codes against each other: a table with a row a head and a column a number of labels, one for each data set,
beside published figures; and which head is best where, from paired differences.

The accuracy is that of few-label results (:data:`METRIC`); their other metrics stand in the table of a row a setting.
"""

from collections import Counter
from typing import NamedTuple

from latent_lab.comparisons import standings
from latent_lab.references import Reference, comparable
from latent_lab.results import LEADING, repeats, short, sortable, supervision
from latent_lab.rows import Spread, aggregate, in_words, varying

METRIC = "accuracy"
SEEING = "transductive"  # such heads are compared with their like only
# Of which a head says enough by its own name, or which make no other head: what still differs is numbered
OF_NO_HEAD = ("callbacks", "experiment", "logger", "score_on", "trainer.accelerator")
# What a head's name is of; any other setting is of the model, whose codes it reads
OF_A_HEAD = ("classifier", "spread", "transductive", "labels", "callbacks")
ORDER = ("supervised", "semi-supervised", SEEING)


class Head(NamedTuple):
    """A row: the model whose codes, the classifier on them, and what that saw."""

    model: str
    name: str
    supervision: str

    @property
    def sees(self) -> bool:
        """Whether it sees the images it is scored on: one that does is compared with its like only."""
        return self.supervision == SEEING


class Cell(NamedTuple):
    """A head at one number of labels: accuracy by (seed of the fit, draw of the labels), its spread, and failures."""

    values: dict[tuple, float]
    spread: Spread
    failed: int
    results: list[dict]


class Block(NamedTuple):
    """The table of one data set.

    Attributes:
        rows: of each head, its cells by number of labels.
        over: over what the figures vary: ``draws``, ``seeds``.
        full: how many repetitions the fullest cell has.
        published: what is quoted beside them: figures on test images, so nothing beside those on validation images.
    """

    dataset: str
    counts: list[int | str]
    rows: dict[Head, dict[int, Cell]]
    over: list[str]
    full: int
    published: list[Reference]
    on_test: bool

    @property
    def title(self) -> str:
        """The data set, and which images of it are scored where these are not the test's."""
        return self.dataset if self.on_test else f"{self.dataset}, validation images"

    @property
    def numbered(self) -> "Block":
        """Those columns that an axis has a place for: ``all`` labels have none."""
        counts = [count for count in self.counts if isinstance(count, int)]
        return self._replace(
            counts=counts, rows={head: {n: row[n] for n in counts if n in row} for head, row in self.rows.items()}
        )

    @property
    def uneven(self) -> bool:
        """Whether at some number of labels heads have unlike numbers of repetitions."""
        return any(
            len({len(row[count].values) for row in self.rows.values() if count in row and row[count].values}) > 1
            for count in self.counts
        )

    def best(self, count: int) -> set[Head]:
        """The best mean of those that see what they are scored on, and of those that don't; of the heads with the most
        repetitions at that number of labels."""
        cells = {head: row[count] for head, row in self.rows.items() if count in row and row[count].values}
        most = max((len(cell.values) for cell in cells.values()), default=0)
        fullest = [head for head, cell in cells.items() if len(cell.values) == most]
        alike = [[head for head in fullest if head.sees == sees] for sees in (False, True)]
        return {max(heads, key=lambda head: cells[head].spread.mean) for heads in alike if heads}


class Line(NamedTuple):
    """A line of the table as text, before any markup.

    Attributes:
        bold: which of the cells stand out.
        published: whether it is quoted.
    """

    cells: list[str]
    bold: set[int]
    published: bool


def blocks(results: list[dict]) -> list[Block]:
    """The tables of few-label results of one kind, one for each data set."""
    shown, rows = aggregate(results)
    rows = [row for row in rows if row.get("n_labels") is not None and METRIC in row]
    over = varying(rows, repeats(results[0])) if rows else []
    found = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        here = [row for row in rows if row["dataset"] == dataset]
        cells = {head: {row["n_labels"]: _cell(row) for row in of} for head, of in _heads(here, shown).items()}
        counts = sorted({row["n_labels"] for row in here}, key=sortable)
        full = max(len(cell.values) for row in cells.values() for cell in row.values())
        on_test = all(result.get("scored_on") in (None, "test") for result in results)
        published = comparable(dataset, counts) if on_test else []
        found.append(Block(dataset, counts, cells, over, full, published, on_test))
    return found


def _heads(rows: list[dict], shown: list[str]) -> dict[Head, list[dict]]:
    """The rows of each head: of one curve, by whatever words; of equal words where results know no curve. Rows of equal
    words and unlike curves are heads apart, numbered: what sets these apart, no setting says."""
    curves: dict[tuple, list[dict]] = {}
    for row in rows:
        words = (*_in_words(row, _others(row, shown, of_the_head=False)), named(row, shown))
        curves.setdefault((row["curve"] or words, str(row["model"])), []).append(row)
    heads: dict[Head, list[list[dict]]] = {}
    for (_, model), of in curves.items():
        words = of[0] | {key: row[key] for row in of for key in shown if row[key] is not None}
        codes = ", ".join([model, *_in_words(words, _others(words, shown, of_the_head=False))])
        heads.setdefault(Head(codes, named(words, shown), _supervision(of)), []).append(of)
    found = {}
    for head in sorted(heads, key=lambda head: _order(head, heads[head][0][0], shown)):
        for number, of in enumerate(heads[head], 1):
            found[head._replace(name=f"{head.name} ({number})") if len(heads[head]) > 1 else head] = of
    return found


def _order(head: Head, row: dict, shown: list[str]) -> tuple:
    """By the model and its settings' values, then by what a head sees, by its name, and by its settings' values: 1e-5
    before .001."""
    saw = ORDER.index(head.supervision) if head.supervision in ORDER else len(ORDER)
    model, own = ([sortable(row[key]) for key in _others(row, shown, whose)] for whose in (False, True))
    return str(row["model"]), model, saw, _classifier(row), own


def named(row: dict, shown: list[str]) -> str:
    """How a head is called: ``tsvm``, ``linear_svc on poisson``, ``tsvm, C=10``; ``shown`` are the settings in which
    rows differ."""
    return ", ".join([_classifier(row), *_in_words(row, _others(row, shown, of_the_head=True))])


def _in_words(row: dict, keys: list[str]) -> list[str]:
    return [f"{short(key)}={row[key]}" for key in keys]


def _classifier(row: dict) -> str:
    choices = next(iter(row["members"].values()))["choices"]
    name, spread = choices.get("classifier", "its own"), choices.get("spread")
    return name if spread in (None, "none") else f"{name} on {spread}"


def _others(row: dict, shown: list[str], of_the_head: bool) -> list[str]:
    """The settings that the head's name has besides, or the model's."""
    said = (*LEADING, "classifier", "spread", "transductive", *OF_NO_HEAD)
    named = [key for key in shown if key not in said and row[key] is not None]
    return [key for key in named if key.startswith(OF_A_HEAD) == of_the_head]


def _supervision(rows: list[dict]) -> str:
    members = [member for row in rows for member in row["members"].values()]
    said = {supervision(member) for member in members} - {None}
    if not said and any(member["settings"].get("transductive") is True for member in members):
        said = {SEEING}  # it failed, and was asked for
    return "/".join(sorted(said)) or "-"


def _cell(row: dict) -> Cell:
    good = {key: member for key, member in row["members"].items() if member["status"] == "ok"}
    values = {key: member["metrics"][METRIC] for key, member in good.items() if METRIC in member["metrics"]}
    return Cell(values, row[METRIC], row["failed"], list(row["members"].values()))


def header(block: Block) -> list[str]:
    """The names of the columns."""
    return ["codes of", "classifier", "setting", *(f"{count} labels" for count in block.counts)]


def lines(block: Block, means_only: bool = False) -> list[Line]:
    """The table of a data set, the published figures last."""
    best = {count: block.best(count) for count in block.counts}
    found = []
    for head, row in block.rows.items():
        texts = [in_cell(block, row.get(count), means_only) for count in block.counts]
        bold = {3 + index for index, count in enumerate(block.counts) if head in best[count]}
        found.append(Line([*head, *texts], bold, False))
    for reference in block.published:
        texts = [_quoted(reference, count, means_only) for count in block.counts]
        found.append(Line(["published", reference.name, reference.setting, *texts], set(), True))
    return found


def in_cell(block: Block, cell: Cell | None, means_only: bool = False) -> str:
    """``98.13 ± .04 ± .02``, and where repetitions lack, how many there are and how many failed."""
    if cell is None:
        return "-"
    text = in_words(cell.spread, "percent", [] if means_only else block.over)
    lack = f" ({len(cell.values)} of {block.full})" if 0 < len(cell.values) < block.full else ""
    return text + lack + (f" ({cell.failed} failed)" if cell.failed else "")


def _quoted(reference: Reference, count: int, means_only: bool) -> str:
    accuracy, deviation = reference.figures.get(count, ("-", ""))
    return f"{accuracy} ± {deviation}" if deviation and not means_only else accuracy


def standing(block: Block) -> list[str]:
    """A sentence for each number of labels: which head is best, and what is within noise of it; one more of heads that
    see what they are scored on, where there are several."""
    said = []
    several = len({head.model for head in block.rows}) > 1
    for count in block.counts:
        for sees in (False, True):
            values = {h: row[count].values for h, row in block.rows.items() if h.sees == sees and count in row}
            best = block.best(count) & values.keys()
            names = {head: f"{head.name} on {head.model}" if several else head.name for head in values}
            if best and len(values) > 1:
                among = f", {SEEING}" if sees else ""
                said.append(f"{block.title}, {count} labels{among}: {standings(best.pop(), values, names)}")
    return said


def chosen(block: Block) -> list[str]:
    """What heads chose for themselves by cross-validation within the labels they were given, and how often."""
    said = []
    for head, row in block.rows.items():
        parts = []
        for count, cell in row.items():
            picks = Counter(_in_short(result["chosen"]) for result in cell.results if result.get("chosen"))
            if picks:
                parts.append(f"{count} labels: " + ", ".join(f"{pick} ({n})" for pick, n in picks.most_common(5)))
        if parts:
            said.append(f"{block.title}, {head.name} on {head.model}: " + "; ".join(parts))
    return said


def _in_short(settings: dict) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())


def warnings(block: Block) -> list[str]:
    """What heads warned of, a line for each head and number of labels."""
    said = []
    for head, row in block.rows.items():
        for count, cell in row.items():
            texts = [result["warning"] for result in cell.results if result.get("warning")]
            if texts:
                often = f"{len(texts)} of {len(cell.results)}" + ", the first of them" * (len(set(texts)) > 1)
                said.append(f"{block.title}, {count} labels, {head.name} on {head.model}, {often}: {texts[0]}")
    return said


def tidy(tables: list[Block]) -> list[dict]:
    """A row a cell, for a program to read; accuracies in [0, 1]."""
    rows = []
    for block in tables:
        for head, row in block.rows.items():
            for count, cell in row.items():
                pairs = list(cell.values)
                rows.append(
                    {"dataset": block.dataset, "n_labels": count, **head._asdict()}
                    | {"mean": cell.spread.mean, "std_draws": cell.spread.draws, "std_seeds": cell.spread.seeds}
                    | {"n": len(pairs), "draws": len({draw for _, draw in pairs})}
                    | {"seeds": len({seed for seed, _ in pairs}), "failed": cell.failed}
                )
    return rows
