"""Strategies: how a fit gets from its start to the whole span of the data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError, UnsupportedByEngine
from .optimizers import FirstOrder, Optimizer
from .schedules import read_rates
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
    strategy: GrowingHorizon,
    optimizers: Sequence[Optimizer],
    observed: Sequence[tuple[np.ndarray, np.ndarray]],
    starts: Sequence[float],
) -> tuple[Stage, ...]:
    """The stages of a fit, the first optimizer's steps shared out over the horizons.

    ``observed`` holds times ``(time,)`` and a mask ``(time, measured)`` of data for each trajectory, ``starts`` the
    times of their initial values. A horizon is counted from these.
    """
    counts = [np.concatenate([[0], np.cumsum(mask.sum(axis=1))]) for _, mask in observed]
    total = sum(count[-1] for count in counts)
    plan = _horizon_rows(strategy.stages, observed, starts)
    first, *rest = optimizers
    shares = [first.steps // len(plan)] * len(plan)
    shares[-1] += first.steps - sum(shares)
    ends = np.cumsum(shares)
    trips = [(first, slice(end - n, end), rows) for end, n, rows in zip(ends, shares, plan, strict=True) if n]
    trips += [(optimizer, slice(0, optimizer.steps), plan[-1]) for optimizer in rest]
    return tuple(
        Stage(
            optimizer=optimizer.word,
            steps=int(steps.stop - steps.start),
            learning_rate=_rates(optimizer, steps),
            rows=rows,
            factor=float(total / sum(count[n] for count, n in zip(counts, rows, strict=True))),
            horizon=float(max(times[n - 1] for (times, _), n in zip(observed, rows, strict=True) if n)),
            **_options(optimizer),
        )
        for optimizer, steps, rows in trips
    )


def _rates(optimizer, steps):
    """Of these steps of all: one number if it stays the same."""
    if not isinstance(optimizer, FirstOrder):
        return 1.0
    rates = read_rates(optimizer.learning_rate, optimizer.steps)[steps]
    return float(rates[0]) if (rates == rates[0]).all() else tuple(rates.tolist())


def _options(optimizer):
    """What else a stage is told of an optimizer."""
    given = {name: getattr(optimizer, name, None) for name in ("clip", "weight_decay", "sigma", "population")}
    return {name: value for name, value in given.items() if value is not None}


def _horizon_rows(stages, observed, starts):
    """Numbers of leading rows of each horizon, one a trajectory, the sums strictly growing.

    0 where a trajectory has no datum after its start yet, unless that is all the data that there are.
    """
    span = max(times[-1] - start for (times, _), start in zip(observed, starts, strict=True))
    plan = []
    for stage in range(1, stages + 1):
        rows = []
        for (times, mask), start in zip(observed, starts, strict=True):
            n = len(times) if stage == stages else int(np.searchsorted(times, start + span * stage / stages, "right"))
            is_seen = (mask[:n].any(axis=1) & (times[:n] > start)).any()
            rows.append(n if is_seen or stage == stages else 0)
        if any(rows) and (not plan or sum(rows) > sum(plan[-1])):
            plan.append(tuple(rows))
    return plan
