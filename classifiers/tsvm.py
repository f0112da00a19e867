r"""A transductive support vector machine of many classes, with soft labels that are annealed.

Over weights w_c of K machines, one a class against the rest, and soft labels P of the N unlabelled codes,

    min  1/2 sum_c |w_c|^2 + C sum_{labelled i, c} h(y_ic f_ic)
         + U sum_{unlabelled i, c} [P_ic h(f_ic) + (1 - P_ic) h(-f_ic)] + U T sum_ic P_ic log P_ic,

    f_ic = w_c phi(x_i),   h(m) = max(0, 1 - m)^2,   y_ic = 1 if i is of class c, else -1,

with rows of P that sum to 1, and columns whose means are within ``slack`` of the classes' shares: the classes divide
the codes among them, where ten machines that each keep their own share may disagree (Sindhwani & Keerthi 2006, "Large
scale semi-supervised linear SVMs", section 3.4, has two classes). phi(x) ends in a 1, whose weight is regularised like
the rest, as liblinear has it: with U = 0 and linear features this is scikit-learn's ``LinearSVC``.

The two are minimised in turn, which never raises the objective: P as an optimal transport between codes and classes, w
by accelerated steps. The temperature T falls by stages.
"""

import numpy as np
import torch
from torch import Tensor

from classifiers.checks import require_one_strength, require_two_classes
from classifiers.optimal_transport import transport
from classifiers.squared_hinge import curvature, descend, hinge
from classifiers.supervision import TRANSDUCTIVE
from datamodules.checks import require_one_of, require_positive, require_share, require_whole
from datamodules.labels import SEMI_SUPERVISED, UNLABELLED

AUTO = "auto"
WORTHS = (1000.0, 0.0)  # unlabelled=auto: the first that cross-validation does not speak against
PRIORS = ("uniform", "labels", "none")
FOLDS = (0, 3, 5)
POOL_IN_FOLDS = 2000  # unlabelled codes in a fit of cross-validation
STEPS = 5  # of the weights, for each P
MOST_STEPS = 2000  # of the weights, with the labelled codes alone
BLOCK = 5000  # codes whose features are in memory at once to predict


class TSVMHead:
    """The machine above, on Gaussian random features of the codes (Rahimi & Recht 2007) or on the codes themselves.

    Args:
        C: weight of a labelled code's loss; 1 if neither this nor ``C_per_label`` is given.
        C_per_label: instead of C, which is this times the number of labels.
        features: how many random features, an even number: a kernel machine nearly. 0: the codes, a linear machine.
        width: the kernel's standard deviation, relative to the root mean square distance of the codes from their mean.
        unlabelled: as how many labelled codes all unlabelled ones together count: U is this times C over their number.
            ``auto``: 1000, or 0 where cross-validation finds that they do harm.
        pool: how many unlabelled codes at most the fit looks at, a sample of those given.
        prior: the classes' shares among the unlabelled codes: ``uniform``, those of the ``labels``, or ``none`` kept.
        slack: how far a share may be from the prior, relative to it.
        hottest: T of the first stage, in units of the loss.
        coldest: T of the last.
        stages: how many, by equal factors.
        rounds: of soft labels and weights in turn, in each stage.
        cross_validate: folds among the labelled codes in which the unlabelled term is compared to the plain machine; 0
            for no comparison and no warning.
        tol: relative change of the weights at which the fit to the labelled codes alone ends, where annealing starts.
        random_state: of the features and the sample.

    After ``fit``: ``objectives``, the objective after each round, a list for each stage; ``chosen``, with the number
    that ``auto`` took; ``warning``, a line if cross-validation found that the unlabelled codes do harm, or None.
    """

    supervision = (SEMI_SUPERVISED, TRANSDUCTIVE)

    def __init__(
        self,
        C: float | None = None,
        C_per_label: float | None = None,
        features: int = 1000,
        width: float = 0.9,
        unlabelled: float | str = AUTO,
        pool: int = 10_000,
        prior: str = "uniform",
        slack: float = 0.2,
        hottest: float = 2.0,
        coldest: float = 0.1,
        stages: int = 12,
        rounds: int = 2,
        cross_validate: int = 3,
        tol: float = 1e-3,
        random_state: int = 0,
    ):
        require_one_strength(C, C_per_label)
        positive = {"C": C, "C_per_label": C_per_label, "width": width, "tol": tol}
        positive |= {"hottest": hottest, "coldest": coldest}
        require_positive(**{f"classifier.{name}": value for name, value in positive.items() if value is not None})
        require_whole(0, **{"classifier.features": features, "classifier.random_state": random_state})
        whole = {"pool": pool, "stages": stages, "rounds": rounds}
        require_whole(**{f"classifier.{name}": value for name, value in whole.items()})
        require_share(**{"classifier.slack": slack})
        require_one_of(PRIORS, **{"classifier.prior": prior})
        require_one_of(FOLDS, **{"classifier.cross_validate": cross_validate})
        if features % 2:
            raise ValueError(f"classifier.features={features}: expects an even number, a cosine and a sine each")
        if hottest < coldest:
            raise ValueError(f"classifier.hottest={hottest}: expects at least classifier.coldest={coldest}")
        if unlabelled != AUTO and (type(unlabelled) not in (int, float) or not 0 <= unlabelled < np.inf):
            raise ValueError(f"classifier.unlabelled={unlabelled}: expects auto or a number from 0")
        if unlabelled == AUTO and not cross_validate:
            raise ValueError("classifier.unlabelled=auto: needs classifier.cross_validate of 3 or 5, or give a number")
        self.C, self.C_per_label, self.tol = 1.0 if C is None else C, C_per_label, tol
        self.features, self.width, self.random_state = features, width, random_state
        self.unlabelled, self.pool, self.prior, self.slack = unlabelled, pool, prior, slack
        self.temperatures, self.rounds = np.geomspace(hottest, coldest, stages).tolist(), rounds
        self.cross_validate = cross_validate

    def check(self, n_labels: int, num_classes: int) -> None:
        """Raises ValueError for a number of classes that there is nothing to tell apart in."""
        require_two_classes("a machine of one class against the rest needs two", num_classes)

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> "TSVMHead":
        """Trains on codes ``(N, D)`` with classes ``(N,)``, -1 for unlabelled."""
        rng = np.random.default_rng(self.random_state)
        self.labelled = np.flatnonzero(labels != UNLABELLED)
        rest = np.flatnonzero(labels == UNLABELLED)
        if len(rest) > self.pool:
            rest = np.sort(rng.choice(rest, self.pool, replace=False))
        self.looked_at = len(rest)
        self.classes, places = np.unique(labels[self.labelled], return_inverse=True)
        spread = self.width * np.sqrt(codes.var(0, dtype=np.float64).sum())
        directions = rng.standard_normal((self.features // 2, codes.shape[1])) / (spread or 1.0)
        self.directions = directions.astype(np.float32)
        x, others = self._features(codes[self.labelled]), self._features(codes[rest])
        truth = torch.nn.functional.one_hot(torch.from_numpy(places), len(self.classes)).T.to(x.dtype)
        worth = self._cross_validated(x, truth, others[:POOL_IN_FOLDS])
        self.weights, self.objectives = self._annealed(self._supervised(x, truth), x, truth, others, worth)
        self.chosen = {"unlabelled": worth} if self.unlabelled == AUTO else {}
        return self._remember(codes, labels[self.labelled])

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """The class of each code, ``(M,)``, each by itself."""
        blocks = [self._features(codes[i : i + BLOCK]) for i in range(0, len(codes), BLOCK)]
        return self.classes[np.concatenate([(x @ self.weights.to(x.dtype).T).argmax(1).numpy() for x in blocks])]

    def arrays(self) -> dict[str, np.ndarray]:
        """The machines and their features, and which codes were labelled, to be stored."""
        return {
            "weights": self.weights.numpy(),
            "directions": self.directions,
            "classes": self.classes,
            "labelled": self.labelled,
            "labels": self.transduction_[self.labelled],
        }

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray) -> "TSVMHead":
        """Becomes the trained head that :meth:`arrays` was taken from, fitted on the codes ``(N, D)``."""
        self.weights, self.directions = torch.from_numpy(arrays["weights"]), arrays["directions"]
        self.classes, self.labelled = arrays["classes"], arrays["labelled"]
        return self._remember(codes, arrays["labels"])

    def _remember(self, codes: np.ndarray, labels: np.ndarray) -> "TSVMHead":
        self.transduction_ = self.predict(codes)
        self.transduction_[self.labelled] = labels
        return self

    def _features(self, codes: np.ndarray) -> Tensor:
        """phi ``(N, F + 1)``; a code's random features have the length 1, as a Gaussian kernel's have."""
        x = torch.from_numpy(codes)
        if not self.features:
            return torch.cat([x, x.new_ones(len(x), 1)], 1)
        angles = x @ torch.from_numpy(self.directions).T
        scale = len(self.directions) ** -0.5
        return torch.cat([scale * angles.cos(), scale * angles.sin(), x.new_ones(len(x), 1)], 1)

    def _supervised(self, x: Tensor, truth: Tensor) -> Tensor:
        """The weights ``(K, F + 1)`` float64 for labelled codes' features ``(n, F + 1)`` and ``truth (K, n)``."""
        x, truth, c = x.double(), truth.double(), self._c(len(x))  # few codes: exact at little cost
        start, bound = x.new_zeros(len(truth), x.shape[1]), curvature(x, x.new_full((len(x),), c))
        return descend(start, x, c * truth, c * (1 - truth), bound, MOST_STEPS, self.tol)[0]

    def _annealed(
        self, weights: Tensor, x: Tensor, truth: Tensor, others: Tensor, worth: float
    ) -> tuple[Tensor, list[list[float]]]:
        """The weights with the unlabelled codes' features ``(N, F + 1)`` besides, from those without, and the objective
        after each round of each stage."""
        n, rest, c = len(x), len(others), self._c(len(x))
        objectives: list[list[float]] = []
        if not rest or not worth:
            return weights, objectives
        u = worth * c / rest
        x = torch.cat([x, others])
        f = weights.to(x.dtype) @ x.T
        bound = curvature(x, torch.cat([x.new_full((n,), c), x.new_full((rest,), u)]))
        uniform = torch.full_like(truth[:, 0], 1 / len(truth))
        shares = {"uniform": uniform, "labels": truth.mean(1), "none": None}[self.prior]
        for temperature in self.temperatures:
            scaling, values = torch.ones_like(uniform), []
            for _ in range(self.rounds):
                gains = hinge(-f[:, n:]) - hinge(f[:, n:])
                soft, scaling = transport(gains, temperature, shares, self.slack, scaling)
                below, above = torch.cat([c * truth, u * soft], 1), torch.cat([c * (1 - truth), u * (1 - soft)], 1)
                weights, f, value = descend(weights, x, below, above, bound, STEPS)
                values.append(value + u * temperature * float(torch.xlogy(soft, soft).sum(dtype=torch.float64)))
            objectives.append(values)
        return weights, objectives

    def _cross_validated(self, x: Tensor, truth: Tensor, others: Tensor) -> float:
        """What the unlabelled codes are worth, and whether to warn of them. Held-out codes stand aside altogether."""
        self.warning = None
        if not len(others):
            return 0.0
        tried = WORTHS if self.unlabelled == AUTO else (self.unlabelled, 0.0)
        if not self.cross_validate or not tried[0] or truth.sum(1).min() < 2:
            return tried[0]
        fold = torch.empty(len(x), dtype=torch.int64)
        fold[truth.argmax(0).argsort(stable=True)] = torch.arange(len(x)) % self.cross_validate  # each class evenly
        right = {worth: torch.empty(len(x), dtype=torch.bool) for worth in tried}
        for held in (fold == k for k in range(self.cross_validate)):
            shown = x[~held], truth[:, ~held]
            start = self._supervised(*shown)
            for worth in tried:
                weights, _ = self._annealed(start, *shown, others, worth)
                right[worth][held] = (weights.to(x.dtype) @ x[held].T).argmax(0) == truth[:, held].argmax(0)
        if worse(right[tried[0]], right[0.0]):
            with_them, without = (f"{right[worth].double().mean():.1%}" for worth in (tried[0], 0.0))
            self.warning = (
                f"classifier.unlabelled={tried[0]:g}: the unlabelled codes do harm, their clusters cross the classes; "
                f"cross-validated accuracy on the labelled codes is {with_them} with them, {without} without"
            )
        best = max(tried, key=lambda worth: int(right[worth].sum()))
        return next(w for w in tried if not worse(right[w], right[best])) if self.unlabelled == AUTO else tried[0]

    def _c(self, n_labels: int) -> float:
        return self.C if self.C_per_label is None else self.C_per_label * n_labels


def worse(right: Tensor, other: Tensor) -> bool:
    """Whether one machine classifies fewer of the same codes rightly than another, by more than a standard error of the
    difference: each ``(n,)`` bool (McNemar 1947)."""
    lost, won = int((other & ~right).sum()), int((right & ~other).sum())
    return lost - won > (lost + won) ** 0.5
