"""Self-training: a logistic regression labels the codes that it is sure of, and learns from them in turn."""

import numpy as np

from classifiers.choosing import choose_settings
from classifiers.logistic import LogisticHead
from classifiers.supervision import TRANSDUCTIVE
from datamodules.checks import require_share, require_whole
from datamodules.labels import SEMI_SUPERVISED, UNLABELLED


class SelfTrainingHead(LogisticHead):
    """scikit-learn's ``SelfTrainingClassifier`` around ``LogisticRegression`` (Yarowsky 1995).

    In each round every code that some class has with a probability above ``threshold`` is given that class for good.
    It has nothing that keeps the classes' shares: what the first regression confuses, the last is sure of.

    Args:
        C: of the regression; ``auto`` chooses what is best for the labelled codes alone, by cross-validation within
            them; 1 if None.
        threshold: from 0 to below 1.
        rounds: how many, at most.
        max_iter: of the regression's lbfgs.
    """

    supervision = (SEMI_SUPERVISED, TRANSDUCTIVE)

    def __init__(self, C: float | str | None = None, threshold: float = 0.95, rounds: int = 10, max_iter: int = 1000):
        super().__init__(C, max_iter)
        require_share(**{"classifier.threshold": threshold})
        require_whole(**{"classifier.rounds": rounds})
        self.threshold, self.rounds = threshold, rounds

    def fit(self, codes: np.ndarray, labels: np.ndarray) -> "SelfTrainingHead":
        """Trains on codes ``(N, D)`` with classes ``(N,)``, -1 where unknown; all are in ``transduction_ (N,)``."""
        from sklearn.semi_supervised import SelfTrainingClassifier

        known = labels != UNLABELLED
        alone = LogisticHead(self.C, self.max_iter)
        self.chosen, self.warning = choose_settings(alone, codes[known], labels[known])
        if known.all():
            self.regression = self._trained(self._plain(), codes, labels)
            self.transduction_ = labels.copy()
            return self
        rounds = SelfTrainingClassifier(self._plain(), threshold=self.threshold, max_iter=self.rounds)
        rounds = self._trained(rounds, codes, labels)
        self.regression = rounds.estimator_
        given = rounds.transduction_  # -1 where no class was ever sure
        self.transduction_ = np.where(given == UNLABELLED, self.predict(codes), given)
        return self

    def arrays(self) -> dict[str, np.ndarray]:
        """All that :meth:`predict` needs, and the classes of the codes it was fitted on, to be stored."""
        small = np.min_scalar_type(self.transduction_.max())
        return super().arrays() | {"transduction": self.transduction_.astype(small)}

    def restore(self, arrays: dict[str, np.ndarray], codes: np.ndarray | None = None) -> "SelfTrainingHead":
        """Becomes the trained head that :meth:`arrays` was taken from: the same predictions, bit for bit."""
        self.transduction_ = arrays["transduction"].astype(np.int64)
        return super().restore(arrays, codes)
