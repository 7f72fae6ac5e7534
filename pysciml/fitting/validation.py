"""Validation: data that a fit does not see, and by which it knows when to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError


@dataclass(frozen=True)
class Holdout:
    """Keep some data back, look at their loss as the fit goes, stop when it no longer falls, and return the best.

    The looks come once the horizon has reached the end of the data that are fitted. Optimizers begin anew after each.

    Parameters
    ----------
    after : float, str or date, optional
        Data from this time on are held out.
    experiments : sequence or dict of sequences, optional
        Labels of experiments that are held out; by batch dim, where there are several.
    every : int, default 25
        Iterations between looks.
    patience : int, default 4
        Looks without a new best after which the fit stops.

    Raises
    ------
    ProblemError
        Unless there is one of ``after`` and ``experiments``, or if a number is out of its range.

    References
    ----------
    Prechelt (1998), Automatic early stopping using cross validation: quantifying the criteria, Neural Networks 11,
    761-767. doi:10.1016/S0893-6080(98)00010-0

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Holdout(after=1915)
    Holdout(after=1915, experiments=None, every=25, patience=4)
    """

    after: object = None
    experiments: Sequence | Mapping[str, Sequence] | None = None
    every: int = 25
    patience: int = 4

    def __post_init__(self):
        if (self.after is None) == (self.experiments is None):
            raise ProblemError("Holdout: give either after=, a time, or experiments=, labels")
        for name in ("every", "patience"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ProblemError(f"Holdout: {name} must be a positive integer, got {value!r}")

    def is_held(self, coords: Mapping[str, object]) -> bool:
        """Whether an experiment is held out as a whole."""
        if self.experiments is None:
            return False
        if isinstance(self.experiments, Mapping):
            return all(coords.get(dim) in list(labels) for dim, labels in self.experiments.items())
        if len(coords) != 1:
            dims = ", ".join(coords) or "no batch dim"
            raise ProblemError(f"Holdout: name the dims of the experiments that are held out; data have {dims}")
        return next(iter(coords.values())) in list(self.experiments)
