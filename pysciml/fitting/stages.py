"""Stage: one stretch of a fit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stretch of a fit: an optimizer over the first data times, the weights multiplied by ``factor``.

    ``rows`` says how many times, one number a part of the sum, 0 for a part that is left out. ``optimizer`` is
    ``"adam"`` (``learning_rate`` used) or ``"lbfgs"``. ``horizon`` is the last time used.
    """

    optimizer: str
    steps: int
    learning_rate: float
    rows: tuple[int, ...]
    factor: float
    horizon: float
