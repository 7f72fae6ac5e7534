"""Observations: data in the problem's own flat order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Observations:
    """Measured values of a problem's states.

    ``times (time,)`` are strictly increasing floats in the problem's unit, ``values (time, state)`` follow the flat
    order of the problem's states with NaN where nothing was measured.
    """

    times: np.ndarray
    values: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """True where there is a datum, ``(time, state)``."""
        return np.isfinite(self.values)


def fill_gaps(observations: Observations, default: np.ndarray) -> np.ndarray:
    """Values ``(time, state)`` with gaps interpolated in time; ``default (state,)`` where nothing was measured."""
    filled = np.array(observations.values)
    for column, fallback in zip(filled.T, default, strict=True):
        known = np.isfinite(column)
        if known.any():
            column[:] = np.interp(observations.times, observations.times[known], column[known])
        else:
            column[:] = fallback
    return filled


def rates_of_change(series: Sequence[Observations]) -> np.ndarray:
    """How much each state moves in a unit of time ``(state,)``, a mean over the time of all series; NaN where unknown.

    Over time and not over data: of a stiff problem these stand close where it is quick.
    """
    rates = np.full(series[0].values.shape[1], np.nan)
    for k in range(len(rates)):
        known = [np.isfinite(observations.values[:, k]) for observations in series]
        seen = list(zip(series, known, strict=True))
        moved = sum(np.abs(np.diff(observations.values[rows, k])).sum() for observations, rows in seen)
        time = sum(np.ptp(observations.times[rows]) for observations, rows in seen if rows.any())
        if time > 0:
            rates[k] = moved / time
    return rates
