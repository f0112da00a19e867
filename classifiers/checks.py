"""Checks that several heads have in common."""


def require_two_classes(said: str, num_classes: int) -> None:
    """Raises ValueError for fewer classes than two: there is nothing to tell apart. ``said`` begins the message."""
    if num_classes < 2:
        raise ValueError(f"classifier: {said}, there is {num_classes}")


def require_one_strength(C: float | str | None, C_per_label: float | None) -> None:
    """Raises ValueError where both say how strong the regularisation is."""
    if C is not None and C_per_label is not None:
        raise ValueError(f"classifier.C={C} classifier.C_per_label={C_per_label}: give one, and null for the other")
