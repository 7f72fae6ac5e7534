"""Stage: one stretch of a fit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stretch of a fit: an optimizer over the first ``rows`` data times, the weights multiplied by ``factor``.

    ``optimizer`` is ``"adam"`` (``learning_rate`` used) or ``"lbfgs"``. ``horizon`` is the last time used.
    """

    optimizer: str
    steps: int
    learning_rate: float
    rows: int
    factor: float
    horizon: float
