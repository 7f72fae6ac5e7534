"""Likelihoods as values: how measurements scatter about what the model says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import lgamma, log, pi
from typing import ClassVar

import numpy as np

from ..errors import ProblemError

Noise = float | str | Mapping[str, object] | object  # a number, a name in p, an array over time, or these by variable
_SHIFT = 8.0  # arguments of the series are larger than this


@dataclass(frozen=True)
class Normal:
    """Measurement errors that are normal, with a given or a fitted standard deviation.

    The loss is the negative logarithm of the likelihood, summed over all finite values.

    Parameters
    ----------
    sigma : float, str, xarray.DataArray or dict
        Standard deviation in the variable's units: a number, the name of a parameter (fitted like others, and kept
        positive), one value a datum over ``time``, or a dict of these by variable.

    Raises
    ------
    ProblemError
        If a number isn't positive and finite.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Normal(sigma=0.1)
    Normal(sigma=0.1)
    """

    sigma: Noise

    def __post_init__(self):
        _check_noise("Normal: sigma", self.sigma)

    SCATTER: ClassVar[str | None] = "sigma"

    def losses(self, y, d, known, sigma):
        """Negative log densities of data ``d`` about ``y``."""
        return 0.5 * ((d - y) / sigma) ** 2 + np.log(sigma) + 0.5 * log(2 * pi)


@dataclass(frozen=True)
class LogNormal:
    """Measurement errors that are normal in the logarithm: relative errors of positive quantities.

    Parameters
    ----------
    sigma : float, str, xarray.DataArray or dict
        Standard deviation of the logarithm (dimensionless); forms as in :class:`Normal`.

    Raises
    ------
    ProblemError
        If a number isn't positive and finite.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.LogNormal(sigma="spread")
    LogNormal(sigma='spread')
    """

    sigma: Noise

    def __post_init__(self):
        _check_noise("LogNormal: sigma", self.sigma)

    SCATTER: ClassVar[str | None] = "sigma"

    def check(self, name, d):
        """ProblemError for data that can't be of this kind."""
        if (d <= 0).any():
            raise ProblemError(f"loss: LogNormal needs positive data, and {name!r} has {d.min():g}")

    def losses(self, y, d, known, sigma):
        """Negative log densities of data ``d`` about the median ``y``."""
        return 0.5 * ((np.log(d) - np.log(y)) / sigma) ** 2 + np.log(sigma) + np.log(d) + 0.5 * log(2 * pi)


@dataclass(frozen=True)
class Poisson:
    """Counts whose expectation is what the model says.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Poisson()
    Poisson()
    """

    SCATTER: ClassVar[str | None] = None

    def check(self, name, d):
        """ProblemError for data that can't be of this kind."""
        _check_counts("Poisson", name, d)

    def known(self, d: np.ndarray) -> np.ndarray:
        """What depends on the data alone: ``log(d!)``."""
        return _log_factorial(d)

    def losses(self, y, d, known, noise):
        """Negative log probabilities of counts ``d``."""
        return y - np.where(d > 0, d * np.log(np.where(d > 0, y, 1.0)), 0.0) + known


@dataclass(frozen=True)
class NegativeBinomial:
    """Counts that scatter more than Poisson's: of mean y, their variance is ``y + y**2 / dispersion``.

    Parameters
    ----------
    dispersion : float, str, xarray.DataArray or dict
        Positive (dimensionless); large values come near to :class:`Poisson`. Forms as in :class:`Normal`.

    Raises
    ------
    ProblemError
        If a number isn't positive and finite.

    References
    ----------
    Lloyd-Smith (2007), Maximum likelihood estimation of the negative binomial dispersion parameter for highly
    overdispersed data, PLoS ONE 2, e180. doi:10.1371/journal.pone.0000180

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.NegativeBinomial(dispersion="phi")
    NegativeBinomial(dispersion='phi')
    """

    dispersion: Noise

    def __post_init__(self):
        _check_noise("NegativeBinomial: dispersion", self.dispersion)

    SCATTER: ClassVar[str | None] = "dispersion"

    def check(self, name, d):
        """ProblemError for data that can't be of this kind."""
        _check_counts("NegativeBinomial", name, d)

    def known(self, d: np.ndarray) -> np.ndarray:
        """What depends on the data alone: ``log(d!)``."""
        return _log_factorial(d)

    def losses(self, y, d, known, phi):
        """Negative log probabilities of counts ``d``."""
        odds = np.where(d > 0, d * np.log(np.where(d > 0, y / (phi + y), 1.0)), 0.0)
        return known + log_gamma(phi) - log_gamma(d + phi) - phi * np.log(phi / (phi + y)) - odds


Likelihood = Normal | LogNormal | Poisson | NegativeBinomial
LIKELIHOODS = (Normal, LogNormal, Poisson, NegativeBinomial)


def log_gamma(x):
    """The logarithm of the gamma function of positive numbers, in operations that a Program has.

    Stirling's series at ``x + 8``, less the logarithms of the factors between: right to 1e-14.

    References
    ----------
    Abramowitz, Stegun (1964), Handbook of mathematical functions, 6.1.40.
    """
    z, product = x + _SHIFT, x
    for k in range(1, int(_SHIFT)):
        product = product * (x + float(k))
    inverse = 1.0 / (z * z)
    series = 1 / 12 + inverse * (-1 / 360 + inverse * (1 / 1260 + inverse * (-1 / 1680 + inverse * (1 / 1188))))
    series = series - 691 / 360360 * inverse**5 + 1 / 156 * inverse**6
    return (z - 0.5) * np.log(z) - z + 0.5 * log(2 * pi) + series / z - np.log(product)


_log_factorial: Callable[[np.ndarray], np.ndarray] = np.vectorize(lambda d: lgamma(d + 1.0), otypes=[float])


def _check_counts(kind, name, d):
    if (d < 0).any() or (d != np.round(d)).any():
        wrong = d[(d < 0) | (d != np.round(d))][0]
        raise ProblemError(f"loss: {kind} is for counts, and {name!r} has {wrong:g}")


def _check_noise(where, noise):
    for value in noise.values() if isinstance(noise, Mapping) else [noise]:
        if isinstance(value, str) or hasattr(value, "dims"):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
            raise ProblemError(f"{where} must be a positive number, a parameter's name or a DataArray, got {value!r}")
