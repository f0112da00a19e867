"""Whether scikit-learn's iterative solvers came to their end: it says so by warnings."""

import warnings

import numpy as np


def fitted_to_the_end(estimator, codes: np.ndarray, labels: np.ndarray) -> bool:
    """Fits a scikit-learn estimator to codes ``(N, D)`` and labels ``(N,)``; whether it converged."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(codes, labels)
    return not any(issubclass(w.category, ConvergenceWarning) for w in caught)
