"""What may take a network's place, and the contract of whoever finds such."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from .terms import Sum

TINY = np.finfo(float).tiny


@dataclass(frozen=True, eq=False)
class Candidate:
    """Equations, one an output of the network, and the relative error ``(output,)`` that they leave.

    ``log_choices`` is the logarithm of how many such equations there are to choose from; ``complexity`` counts their
    symbols, if they were found as trees of these.
    """

    equations: tuple[Sum, ...]
    error: np.ndarray
    log_choices: float
    complexity: int | None = None

    @property
    def n_terms(self) -> int:
        """Constants, which are as many as terms where these have none but their factors."""
        return sum(len(one.constants) for one in self.equations)

    @property
    def form(self) -> tuple[str, ...]:
        """The same for candidates that differ in the values of constants only."""
        return tuple(one.form for one in self.equations)


class AbstractSearch(ABC):
    """Candidates for what a network says."""

    @abstractmethod
    def path(self) -> list[Candidate]:
        """The best ones, from the simplest on."""

    @abstractmethod
    def near(self, candidate: Candidate) -> list[Candidate]:
        """Those that are worth a trial beside one, the most promising first."""


def relative_error(left: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """What is left ``(sample, output)`` of outputs, relative to their size, ``(output,)``."""
    return np.sqrt(np.sum(left**2, axis=0) / np.maximum(np.sum(outputs**2, axis=0), TINY))
