"""Observations: data in the problem's own flat order."""

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


def rates_of_change(observations: Observations) -> np.ndarray:
    """Root mean square of each state's difference quotients ``(state,)``; NaN where fewer than two values are known."""
    rates = np.full(observations.values.shape[1], np.nan)
    for k, column in enumerate(observations.values.T):
        known = np.isfinite(column)
        if known.sum() > 1:
            slopes = np.diff(column[known]) / np.diff(observations.times[known])
            rates[k] = np.sqrt(np.mean(slopes**2))
    return rates
