"""Learning rates as values: a number, or one for each step."""

from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError


def is_positive(value) -> bool:
    """Whether it is a positive, finite number."""
    return not isinstance(value, bool) and isinstance(value, int | float | np.number) and bool(0 < value < np.inf)


def check_count(name: str, word: str, value) -> None:
    """ProblemError for anything but a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ProblemError(f"{name}: {word} must be a positive integer, got {value!r}")


@dataclass(frozen=True)
class Cosine:
    """A learning rate that falls along half a cosine, slowly at first and at last.

    Parameters
    ----------
    start, end : float
        First and last rate, in the fit's scaled units; ``end`` may be 0, the default.

    Raises
    ------
    ProblemError
        If ``start`` is not positive and finite, or ``end`` negative.

    References
    ----------
    Loshchilov, Hutter (2017), SGDR: stochastic gradient descent with warm restarts, ICLR. doi:10.48550/arXiv.1608.03983

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Cosine(0.1).rates(5).round(3)
    array([0.1  , 0.085, 0.05 , 0.015, 0.   ])
    """

    start: float
    end: float = 0.0

    def __post_init__(self):
        if not is_positive(self.start) or not (self.end == 0 or is_positive(self.end)):
            raise ProblemError(f"Cosine: needs start > 0 and end >= 0, got {self.start!r} and {self.end!r}")

    def rates(self, steps: int) -> np.ndarray:
        """The rate of each of so many steps ``(steps,)``."""
        return self.end + 0.5 * (self.start - self.end) * (1 + np.cos(np.pi * _progress(steps)))


@dataclass(frozen=True)
class Exponential:
    """A learning rate that falls by the same factor at each step.

    Parameters
    ----------
    start, end : float
        First and last rate, in the fit's scaled units.

    Raises
    ------
    ProblemError
        If one is not positive and finite.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Exponential(0.1, 0.001).rates(3).round(6)
    array([0.1  , 0.01 , 0.001])
    """

    start: float
    end: float

    def __post_init__(self):
        if not is_positive(self.start) or not is_positive(self.end):
            raise ProblemError(f"Exponential: needs start and end > 0, got {self.start!r} and {self.end!r}")

    def rates(self, steps: int) -> np.ndarray:
        """The rate of each of so many steps ``(steps,)``."""
        return self.start * (self.end / self.start) ** _progress(steps)


@dataclass(frozen=True)
class Warmup:
    """A learning rate that grows in equal steps before another one begins.

    Parameters
    ----------
    steps : int
        How many steps it grows, up to the first rate of ``then``.
    then : float, Cosine or Exponential
        The rate, or rates, of all further steps.

    Raises
    ------
    ProblemError
        If ``steps`` is not a positive integer, or ``then`` no learning rate.

    References
    ----------
    Goyal et al. (2017), Accurate, large minibatch SGD: training ImageNet in 1 hour. doi:10.48550/arXiv.1706.02677

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Warmup(2, 0.1).rates(4)
    array([0.05, 0.1 , 0.1 , 0.1 ])
    """

    steps: int
    then: "LearningRate"

    def __post_init__(self):
        check_count("Warmup", "steps", self.steps)
        check_rate("Warmup", "then", self.then)

    def rates(self, steps: int) -> np.ndarray:
        """The rate of each of so many steps ``(steps,)``."""
        then = read_rates(self.then, max(steps - self.steps, 1))
        growing = then[0] * np.arange(1, self.steps + 1) / self.steps
        return np.concatenate([growing, then])[:steps]


LearningRate = float | Cosine | Exponential | Warmup


def check_rate(name: str, word: str, rate) -> None:
    """ProblemError for anything that isn't a learning rate."""
    if not isinstance(rate, Cosine | Exponential | Warmup) and not is_positive(rate):
        values = "ps.Cosine(...), ps.Exponential(...) or ps.Warmup(...)"
        raise ProblemError(f"{name}: {word} must be a positive number, {values}, got {rate!r}")


def read_rates(rate: LearningRate, steps: int) -> np.ndarray:
    """The rate of each of so many steps ``(steps,)``."""
    return rate.rates(steps) if isinstance(rate, Cosine | Exponential | Warmup) else np.full(steps, float(rate))


def _progress(steps):
    """From 0 at the first step to 1 at the last."""
    return np.arange(steps) / max(steps - 1, 1)
