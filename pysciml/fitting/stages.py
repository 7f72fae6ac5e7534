"""Stage: one stretch of a fit."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stage:
    """One stretch of a fit: an optimizer over the first data times, the weights multiplied by ``factor``.

    ``rows`` says how many times, one number a part of the sum, 0 for a part that is left out. ``optimizer`` is the
    word of one. First-order ones use ``learning_rate``, one number or one a step, the longest gradient ``clip``, and
    ``weight_decay``, by which the elements of ``x`` that the request names shrink, times the rate; CMA-ES uses
    ``sigma`` and ``population`` (0: by the size of ``x``). ``horizon`` is the last time used.
    """

    optimizer: str
    steps: int
    learning_rate: float | tuple[float, ...]
    rows: tuple[int, ...]
    factor: float
    horizon: float
    clip: float = np.inf
    weight_decay: float = 0.0
    sigma: float = 0.3
    is_looked: bool = False  # held-out data are looked at when it has ended
    batch: int = 0  # parts of the sum that a step looks at; 0: all
    population: int = 0

    @property
    def rates(self) -> np.ndarray:
        """The learning rate of each step ``(steps,)``."""
        return np.array(np.broadcast_to(self.learning_rate, self.steps), dtype=np.float64)
