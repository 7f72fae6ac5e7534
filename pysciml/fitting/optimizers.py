"""Optimizers as values: what to run, not how."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import ProblemError
from ..words import nearest


def _check_steps(name, steps):
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ProblemError(f"{name}: steps must be a positive integer, got {steps!r}")


@dataclass(frozen=True)
class Adam:
    """Adaptive moment estimation: robust far from the minimum.

    Parameters
    ----------
    learning_rate : float, default 1e-2
        Length of a step in the fit's scaled units (a parameter's own size, a network's normalised weights).
    steps : int, default 500
        Iterations, shared out over the horizons of a growing horizon.

    Raises
    ------
    ProblemError
        If ``learning_rate`` is not positive and finite or ``steps`` not a positive integer.

    References
    ----------
    Kingma, Ba (2015), Adam: a method for stochastic optimization, ICLR. doi:10.48550/arXiv.1412.6980

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Adam(1e-2, steps=300)
    Adam(learning_rate=0.01, steps=300)
    """

    learning_rate: float = 1e-2
    steps: int = field(default=500, kw_only=True)

    def __post_init__(self):
        _check_steps("Adam", self.steps)
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 0 < rate < np.inf:
            raise ProblemError(f"Adam: learning_rate must be a positive number, got {rate!r}")


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS with a line search: fast and precise near a minimum.

    Parameters
    ----------
    steps : int, default 200
        Most iterations; it stops earlier when the loss no longer falls.

    Raises
    ------
    ProblemError
        If ``steps`` is not a positive integer.

    References
    ----------
    Liu, Nocedal (1989), On the limited memory BFGS method for large scale optimization, Mathematical Programming 45,
    503-528. doi:10.1007/BF01589116

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.LBFGS(steps=100)
    LBFGS(steps=100)
    """

    steps: int = field(default=200, kw_only=True)

    def __post_init__(self):
        _check_steps("LBFGS", self.steps)


Optimizer = Adam | LBFGS
_WORDS = {"adam": Adam, "lbfgs": LBFGS}
_NAMES = ["Adam", "LBFGS"]


def read_optimizers(optimizer: Optimizer | str | Sequence[Optimizer | str] | None) -> tuple[Optimizer, ...]:
    """The optimizers to be run in order; ProblemError for anything that isn't one."""
    if optimizer is None:
        return (Adam(), LBFGS())
    items = optimizer if isinstance(optimizer, list | tuple) else [optimizer]
    if not items:
        raise ProblemError("optimizer: the list is empty; leave it out for Adam then LBFGS")
    return tuple(_read_one(item) for item in items)


def _read_one(item):
    if isinstance(item, Adam | LBFGS):
        return item
    if isinstance(item, type) and issubclass(item, Adam | LBFGS):
        return item()
    if isinstance(item, str) and item.lower() in _WORDS:
        return _WORDS[item.lower()]()
    raise ProblemError(f"optimizer: unknown optimizer {item!r}; one of {_NAMES}{nearest(item, _NAMES)}")
