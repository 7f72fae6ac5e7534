"""The stages of a fit over a growing horizon."""

from collections.abc import Sequence

import numpy as np

from .optimizers import CMAES, FirstOrder, Optimizer
from .schedules import read_rates
from .stages import Stage
from .strategies import GrowingHorizon


def make_stages(
    strategy: GrowingHorizon,
    optimizers: Sequence[Optimizer],
    observed: Sequence[tuple[np.ndarray, np.ndarray]],
    starts: Sequence[float],
    every: int = 0,
    batch: int = 0,
) -> tuple[Stage, ...]:
    """The stages of a fit, the first optimizer's steps shared out over the horizons.

    ``observed`` holds times ``(time,)`` and a mask ``(time, measured)`` of data for each trajectory, ``starts`` the
    times of their initial values. A horizon is counted from these. Stages of the whole span are cut into pieces of
    ``every`` iterations (0: not cut), after which held-out data are looked at. A step looks at ``batch`` trajectories
    (0: at all).
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
    trips = [piece for trip in trips for piece in (_pieces(*trip, every) if trip[2] == plan[-1] else [trip])]
    return tuple(
        Stage(
            optimizer=optimizer.word,
            steps=int(steps.stop - steps.start),
            learning_rate=_rates(optimizer, steps),
            rows=rows,
            factor=float(total / sum(count[n] for count, n in zip(counts, rows, strict=True))),
            is_looked=bool(every) and rows == plan[-1],
            batch=batch,
            horizon=float(max(times[n - 1] for (times, _), n in zip(observed, rows, strict=True) if n)),
            **_options(optimizer),
        )
        for optimizer, steps, rows in trips
    )


def _pieces(optimizer, steps, rows, every):
    """A stage in pieces; one that can't begin anew (its population is its memory) stays whole."""
    size = every if every and not isinstance(optimizer, CMAES) else steps.stop - steps.start
    cuts = range(steps.start, steps.stop, size)
    return [(optimizer, slice(begin, min(begin + size, steps.stop)), rows) for begin in cuts]


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
