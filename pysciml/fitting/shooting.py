"""Strategies: how a fit gets from its start to the whole span of the data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError, UnsupportedByEngine
from .optimizers import LBFGS, Optimizer
from .stages import Stage


@dataclass(frozen=True)
class GrowingHorizon:
    """Fit the first part of the data first, then more and more of it.

    A trajectory that is wrong early is worthless later, and its gradient there points nowhere; so the horizon grows in
    equal stretches of time, and each starts from the best parameters of the one before.

    Parameters
    ----------
    stages : int, default 4
        Number of horizons, the last being the whole span. Stretches without data are passed over.

    Raises
    ------
    ProblemError
        If ``stages`` is not a positive integer.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.GrowingHorizon(stages=4)
    GrowingHorizon(stages=4)
    """

    stages: int = 4

    def __post_init__(self):
        if isinstance(self.stages, bool) or not isinstance(self.stages, int | np.integer) or self.stages < 1:
            raise ProblemError(f"GrowingHorizon: stages must be a positive integer, got {self.stages!r}")


def read_strategy(strategy) -> GrowingHorizon:
    """``"auto"`` is the growing horizon, ``()`` single shooting (one horizon)."""
    if isinstance(strategy, str) and strategy == "auto":
        return GrowingHorizon()
    if isinstance(strategy, GrowingHorizon):
        return strategy
    if isinstance(strategy, list | tuple):
        if not strategy:
            return GrowingHorizon(stages=1)
        if len(strategy) == 1:
            return read_strategy(strategy[0])
        raise UnsupportedByEngine("strategy: several strategies at once are not built yet; give one")
    raise ProblemError(f"strategy: expected 'auto', () (single shooting) or ps.GrowingHorizon(...), got {strategy!r}")


def make_stages(
    strategy: GrowingHorizon, optimizers: Sequence[Optimizer], times: np.ndarray, mask: np.ndarray, start: float
) -> tuple[Stage, ...]:
    """Stages of a fit: the first optimizer over growing horizons (its steps shared out), the others over all.

    ``times (time,)`` and ``mask (time, state)`` are the data's; ``start`` is the time of the initial values.
    """
    counts = np.cumsum(mask.sum(axis=1))
    rows = _horizon_rows(strategy.stages, times, mask, start)
    first, *rest = optimizers
    shares = [first.steps // len(rows)] * len(rows)
    shares[-1] += first.steps - sum(shares)
    plan = [(first, steps, n) for steps, n in zip(shares, rows, strict=True) if steps]
    plan += [(optimizer, optimizer.steps, len(times)) for optimizer in rest]
    return tuple(
        Stage(
            optimizer="lbfgs" if isinstance(optimizer, LBFGS) else "adam",
            steps=int(steps),
            learning_rate=float(getattr(optimizer, "learning_rate", 1.0)),
            rows=int(n),
            factor=float(counts[-1] / counts[n - 1]),
            horizon=float(times[n - 1]),
        )
        for optimizer, steps, n in plan
    )


def _horizon_rows(stages, times, mask, start):
    """Number of leading rows of each horizon, strictly growing; each has a datum after the start."""
    after = np.flatnonzero(mask.any(axis=1) & (times > start))
    least = after[0] + 1 if len(after) else len(times)
    ends = start + (times[-1] - start) * np.arange(1, stages + 1) / stages
    rows = np.searchsorted(times, ends, side="right")
    rows[-1] = len(times)
    return sorted({int(n) for n in rows if n >= least})
