"""Of several heads the one that is best at the labels that were given, by cross-validation within them."""

import numpy as np

from classifiers.choosing import fit, held_out, is_supervised, stratified_folds
from classifiers.supervision import TRANSDUCTIVE, Nearest, require_labelled
from datamodules.checks import require_whole
from datamodules.labels import SEMI_SUPERVISED, SUPERVISED, UNLABELLED


class AutoHead:
    """Cross-validates every candidate on the labelled codes, and fits the chosen one on all.

    A candidate that learns from unlabelled codes sees those held out as unlabelled, with all the others. Few labels
    make a noisy judge: the first candidate is chosen that is not worse than the best by more than one standard error
    of the difference (Breiman et al. 1984, Classification and Regression Trees, 3.4.3), so the one to be trusted where
    labels are few stands first.

    Args:
        candidates: heads by name, in the order of trust.
        folds: in how many parts the labelled codes are held out.
        repeats: how many times they are divided anew.

    After the fit, ``accuracies`` has that of each candidate on held-out codes, in [0, 1].
    """

    def __init__(self, candidates: dict, folds: int = 5, repeats: int = 1):
        if not candidates:
            raise ValueError("classifier.candidates: there is none to choose from")
        require_whole(**{"classifier.folds": folds, "classifier.repeats": repeats})
        if folds == 1:
            raise ValueError("classifier.folds=1: expects 2 or more")
        self.candidates, self.folds, self.repeats = dict(candidates), folds, repeats

    def __getattr__(self, name: str):
        if name == "neighbours":
            found = [head.neighbours for head in vars(self).get("candidates", {}).values() if hasattr(head, name)]
            if found:
                return max(found)  # each uses as many as it asks for
        raise AttributeError(name)

    @property
    def supervision(self) -> tuple[str, ...]:
        """What all candidates can do that learn from unlabelled codes; supervised if there is no such one."""
        kinds = [head.supervision for head in self.candidates.values() if not is_supervised(head)]
        if not kinds:
            return (SUPERVISED,)
        return tuple(kind for kind in (SEMI_SUPERVISED, TRANSDUCTIVE) if all(kind in k for k in kinds))

    def check(self, n_labels: int, num_classes: int) -> None:
        """Raises ValueError if one of the candidates can't take so many labels or classes."""
        for head in self.candidates.values():
            if hasattr(head, "check"):
                head.check(n_labels, num_classes)

    @property
    def head(self):
        """The candidate that was chosen."""
        return self.candidates[self.name]

    def fit(self, codes: np.ndarray, labels: np.ndarray, nearest: Nearest | None = None) -> "AutoHead":
        """Chooses and trains on codes ``(N, D)`` with classes ``(N,)``, -1 where unknown; see ``chosen``."""
        if nearest is None and hasattr(self, "neighbours"):
            from classifiers.neighbours import nearest_codes

            nearest = nearest_codes(codes, self.neighbours)
        if is_supervised(self):
            require_labelled("classifier", labels)
        self.name, self.accuracies, warning = self._choose(codes, labels, nearest)
        fit(self.head, codes, labels, nearest)
        self.chosen = {"head": self.name} | getattr(self.head, "chosen", {})
        self.converged = getattr(self.head, "converged", True)
        self.warning = warning or getattr(self.head, "warning", None)
        if is_supervised(self.head):
            self.transduction_ = np.where(labels == UNLABELLED, self.head.predict(codes), labels)
        else:
            self.transduction_ = self.head.transduction_
        return self

    def _choose(self, codes, labels, nearest) -> tuple[str, dict[str, float], str | None]:
        """The chosen candidate's name, each one's accuracy on codes held out, and a warning."""
        names = list(self.candidates)
        folds = stratified_folds(labels, self.folds, self.repeats)
        if not folds or len(names) == 1:
            said = f"classifier={names[0]}, the first candidate, for one label a class leaves none to choose by"
            return names[0], {}, said if len(names) > 1 else None
        order = np.concatenate(folds)
        right = np.zeros((len(names), len(labels)))  # how often each code was, of the times it was held out
        for row, head in zip(right, self.candidates.values(), strict=True):
            np.add.at(row, order, held_out(head, codes, labels, folds, nearest) == labels[order])
        right = right[:, np.bincount(order, minlength=len(labels)) > 0] / self.repeats
        means = right.mean(1)
        behind = right[means.argmax()] - right
        error = behind.std(1, ddof=1) / np.sqrt(behind.shape[1])
        first = int(np.argmax(behind.mean(1) <= error + 1e-9))  # one code is no more than its own error
        return names[first], dict(zip(names, means.tolist(), strict=True)), None

    def predict(self, codes: np.ndarray, nearest: Nearest | None = None) -> np.ndarray:
        """The class of each code, ``(M,)``, as the chosen head says."""
        return self.head.predict(codes, nearest) if hasattr(self.head, "neighbours") else self.head.predict(codes)

    def arrays(self) -> dict[str, np.ndarray]:
        """The chosen head's, which head that is, and, if it is supervised, what it said of the codes; to be stored."""
        arrays = {f"{self.name}.{key}": array for key, array in self.head.arrays().items()}
        arrays["chosen"] = np.array([list(self.candidates).index(self.name)])
        if is_supervised(self.head):
            arrays["transduction"] = self.transduction_.astype(np.min_scalar_type(self.transduction_.max()))
        return arrays

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray) -> "AutoHead":
        """Becomes the trained head that :meth:`arrays` was taken from, given the codes it was fitted on."""
        self.name = list(self.candidates)[int(arrays["chosen"][0])]
        prefix = f"{self.name}."
        self.head.restore({key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}, codes)
        stored = arrays["transduction"].astype(np.int64) if is_supervised(self.head) else self.head.transduction_
        self.transduction_ = stored
        return self
