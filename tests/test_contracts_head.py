"""The contract of a classifier: ours keep it, and each way of breaking it is told in one line."""

import numpy as np
import pytest

from classifiers.linear_svc import LinearSVCHead
from contracts_head import check_head


class Nearest:
    """The class of the nearest class mean; what a stranger would write."""

    supervision = ("supervised",)

    def fit(self, codes, labels):
        known = labels != -1
        self.classes = np.unique(labels[known])
        self.means = np.stack([codes[labels == c].mean(0) for c in self.classes])
        return self

    def predict(self, codes):
        return self.classes[((codes[:, None] - self.means) ** 2).sum(2).argmin(1)]

    def arrays(self):
        return {"classes": self.classes, "means": self.means}

    def restore(self, arrays, codes):
        self.classes, self.means = arrays["classes"], arrays["means"]
        return self


class Silent(Nearest):
    supervision = None


class Index(Nearest):
    def predict(self, codes):
        return ((codes[:, None] - self.means) ** 2).sum(2).argmin(1)


class Unlabelled(Nearest):
    def fit(self, codes, labels):
        self.classes = np.unique(labels)
        self.means = np.stack([codes[labels == c].mean(0) for c in self.classes])
        return self


class Centring(Nearest):
    def fit(self, codes, labels):
        codes -= codes.mean(0)
        return super().fit(codes, labels)


class Random(Nearest):
    def fit(self, codes, labels):
        super().fit(codes, labels)
        self.means = self.means + np.random.normal(0, 1e-3, self.means.shape)
        return self


class Hoarding(Nearest):
    means = None

    def fit(self, codes, labels):
        before = self.means
        super().fit(codes, labels)
        self.means = self.means if before is None else (self.means + before) / 2
        return self


class Rounding(Nearest):
    def arrays(self):
        return {"classes": self.classes, "means": self.means.astype(np.float16)}


class Pickled(Nearest):
    def arrays(self):
        return {"classes": self.classes, "means": np.array(self.means.tolist(), dtype=object)}


class Fussy(LinearSVCHead):
    supervision = ("semi-supervised", "transductive")


class Guessing(Nearest):
    """Gives every code a class, and test codes one by one; but what it was told it forgets."""

    supervision = ("semi-supervised",)

    def fit(self, codes, labels):
        super().fit(codes, labels)
        self.transduction_ = np.roll(self.predict(codes), 1)
        return self


class Untold(Nearest):
    supervision = ("semi-supervised",)


class Together(Nearest):
    """What it makes of a code depends on those it is asked about beside it."""

    supervision = ("semi-supervised",)

    def fit(self, codes, labels):
        super().fit(codes, labels)
        self.transduction_ = super().predict(codes)
        self.transduction_[labels != -1] = labels[labels != -1]
        return self

    def predict(self, codes):
        return super().predict(codes if len(codes) > 1 else -codes)


class Answering(LinearSVCHead):
    def check(self, n_labels, num_classes):
        return n_labels >= num_classes


@pytest.mark.parametrize(
    "head",
    [LinearSVCHead(), LinearSVCHead(C_per_label=1e-2, scaling="standard", dual=True), Nearest()],
    ids=["svc", "svc, dual and scaled", "nearest mean"],
)
def test_a_whole_head_passes(head):
    check_head(head)


@pytest.mark.parametrize(
    ("head", "lack"),
    [
        (object(), r"has no fit\(\)"),
        (Silent(), "does not say by supervision what it can be: a tuple out of supervised"),
        (Answering(), r"check\(100, 10\) returns something"),
        (Index(), r"predicts \[1, 2\], where it saw the classes \[0, 3, 7\]"),
        (Unlabelled(), "predicts -1: unlabelled codes were taken for a class"),
        (Centring(), "changes the arrays it is given"),
        (Random(), "trained twice on the same codes gives other arrays; fix its seed"),
        (Hoarding(), "remembers what it was trained on before"),
        (Rounding(), "predicts otherwise once stored and restored"),
        (Pickled(), r"arrays\(\) gives no dictionary of arrays of numbers"),
        (Fussy(), "says it is semi-supervised or transductive, and refuses codes labelled -1: "),
        (Untold(), r"has no transduction_ \(N,\) after fit"),
        (Guessing(), "takes labels away in transduction_"),
        (Together(), "predicts a code otherwise beside others than alone"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_a_head_lacks_is_told(head, lack):
    with pytest.raises(AssertionError, match=lack) as told:
        check_head(head)
    assert type(head).__name__ in str(told.value) and "\n" not in str(told.value)
