"""Scatter that is fitted beside other parameters: what it lacks for these, and how sure it leaves them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .fitted import Fitted
from .rise import bounded_curvature, make_rise, read_bounds

SHIFT = 0.1  # of the scatter's logarithm, for differences
SETTLED = 0.01  # change of an adjustment, in numbers of parameters, that is none
MOST = 10  # times that it is found anew


@dataclass(frozen=True, eq=False)
class Adjusted:
    """A negative log likelihood with its scatter's adjustment, its minimum ``x (k,)``, and degrees of freedom ``(k,)``.

    These are infinite where no scatter is fitted, and of the scatter itself.
    """

    value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    x: np.ndarray
    freedom: np.ndarray


def adjust_scatter(fitted: Fitted) -> Adjusted:
    """The likelihood of an objective, its fitted scatter adjusted for the parameters that were fitted beside it.

    Of the scatter ``s`` and the others ``q`` the likelihood's maximum has ``s`` too small, as if ``q`` had not been
    fitted to the same data. Cox and Reid take half the log determinant of the information on ``q`` off the log
    likelihood, which for normal errors is to divide by ``n - k`` and not by ``n``. Here its slope by ``log s`` is taken
    off, at the maximum, which is found anew until both agree. Degrees of freedom are Satterthwaite's:
    ``2 / var(log v)`` of each variance ``v``, as ``log s`` is uncertain; ``n - k`` for normal errors of one scatter.

    References
    ----------
    Cox, Reid (1987), Parameter orthogonality and approximate conditional inference, Journal of the Royal Statistical
    Society B 49, 1-39. doi:10.1111/j.2517-6161.1987.tb01422.x
    McCarthy, Chen, Smyth (2012), Differential expression analysis of multifactor RNA-Seq experiments with respect to
    biological variation, Nucleic Acids Research 40, 4288-4297. doi:10.1093/nar/gks042
    Satterthwaite (1946), An approximate distribution of estimates of variance components, Biometrics Bulletin 2,
    110-114. doi:10.2307/3002019
    """
    misfit, places = fitted.objective, fitted.scatter
    x, freedom = misfit.x0, np.full(misfit.x0.size, np.inf)
    if not places.any() or places.all():
        return Adjusted(misfit.value_and_gradient, x, freedom)
    bounds, everything = read_bounds(misfit.bounds), np.ones(x.size, dtype=bool)
    slopes = np.full(places.sum(), np.nan)
    for _ in range(MOST):
        before, (slopes, growth) = slopes, _slopes(misfit.value_and_gradient, x, places)
        value_and_gradient = _add(misfit.value_and_gradient, slopes, places)
        rise = make_rise(value_and_gradient, x, bounds)
        x = rise.minimise(x, everything)[0]
        if np.all(np.abs(slopes - before) < SETTLED):
            break
    uncertain = rise.covariance[np.ix_(places, places)] / np.outer(x[places], x[places])
    variance = np.einsum("jl,lm,jm->j", growth, uncertain, growth)
    freedom[~places] = 2.0 / np.maximum(variance, np.finfo(float).tiny)
    return Adjusted(value_and_gradient, x, freedom)


def _slopes(value_and_gradient, x, places):
    """Slopes ``(s,)`` by the logarithms of the scatter: of half the log determinant of the information on the others.

    And those ``(k - s, s)`` of the logarithms of their variances, the others being where they are most likely.
    """
    size = np.where(x != 0, np.abs(x), 1.0)[~places]
    _, variances = _information(value_and_gradient, x, places, size)
    slopes, growth = [], []
    for place in np.flatnonzero(places):
        ends = []
        for shift in (SHIFT, -SHIFT):
            moved = x.copy()
            moved[place] *= np.exp(shift)
            moved[~places] -= variances @ value_and_gradient(moved)[1][~places]  # a Newton step
            ends.append(_information(value_and_gradient, moved, places, size))
        (above, wide), (below, narrow) = ends
        slopes.append((above - below) / (4 * SHIFT))
        growth.append(np.log(np.diag(wide) / np.diag(narrow)) / (2 * SHIFT))
    return np.array(slopes), np.array(growth).T


def _information(value_and_gradient, x, places, size):
    """The log determinant of the information on all but the scatter, in units of ``size``, and its inverse."""

    def of_others(q):
        moved = x.copy()
        moved[~places] = q
        value, gradient = value_and_gradient(moved)
        return value, gradient[~places]

    values, directions, own = bounded_curvature(of_others, x[~places])
    inverse = (directions / values) @ directions.T * np.outer(own, own)
    return np.log(values).sum() + 2 * np.log(size / own).sum(), inverse


def _add(value_and_gradient, slopes, places):
    """A loss, and behind it slopes times the logarithms of the scatter."""

    def adjusted(x):
        value, gradient = value_and_gradient(x)
        more = np.zeros_like(x)
        more[places] = slopes / x[places]
        return value + slopes @ np.log(x[places]), gradient + more

    return adjusted
