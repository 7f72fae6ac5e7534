"""standard_errors(): how sure a fit is of each parameter."""

import numpy as np
import xarray as xr

from ..errors import ProblemError, SolveFailed, UnsupportedByEngine
from .fit_result import FitResult
from .fitted import Fitted, curvature, read_fitted
from .objective import Objective
from .scatter import adjust_scatter

CUTOFF = 1e-6  # relative size of a singular value below which its direction isn't determined
ROUGH_CUTOFF = 1e-4  # relative size of an eigenvalue of second derivatives, as CUTOFF
NOT_LOWEST = 0.01  # size of a negative one that isn't their error
MENTIONED = 0.05  # share of the largest from which a parameter's part of such a direction is said


def standard_errors(fitted: FitResult | Objective, *, level: float = 0.95) -> xr.Dataset:
    """Return standard errors, confidence intervals and correlations of what a fit trained.

    Parameters
    ----------
    fitted : FitResult or Objective
        What :func:`fit` returned, with ``loss="nmse"`` or ``"mse"``; or an objective, of a likelihood too, of a problem
        that holds the fitted values: ``ps.objective(result.problem, data, loss=ps.Poisson())``.
    level : float, default 0.95
        Probability of the confidence intervals (dimensionless).

    Returns
    -------
    xarray.Dataset
        Over ``parameter``, one element of what was trained each: ``estimate``, ``standard_error``, ``lower`` and
        ``upper``, in the unit that the coordinate ``unit`` names; ``covariance`` and ``correlation (parameter,
        parameter_2)``; ``residual_deviation (variable)``, the estimated deviation of the data from the model, in the
        unit of the data, and ``degrees_of_freedom`` in ``attrs`` of a fit by least squares; ``degrees_of_freedom
        (parameter)`` where a likelihood's scatter is fitted; ``level`` and ``n_data`` in ``attrs`` of all.

    Raises
    ------
    ProblemError
        If the data do not determine all that was trained: the message says which parameters can move together
        without changing the fit. Also if there are no more data than parameters.
    UnsupportedByEngine
        For other losses, and where :func:`sensitivities` has no derivative.
    SolveFailed
        If the fitted problem can't be solved with tangents.

    Notes
    -----
    With the residuals ``r`` in units of their scale (the data's deviation for ``"nmse"``) and their slopes ``J`` by
    forward sensitivities, errors of one variance in these units give ``cov = s**2 inv(J'J)``, ``s**2 = r'r/(n - k)``,
    and ``estimate -+ t standard_error`` with Student's t. That is exact where the solution is linear in the
    parameters, else as good as the straight line through the estimate; :func:`profile` looks further. Of a likelihood
    (priors counted in) ``cov`` is the inverse of the observed information, the second derivatives of the loss by
    differences of its gradient, and the quantile is the normal one: Laplace's approximation.

    The most likely scatter (``sigma="s"``, ``dispersion="phi"``) is too sure of itself, as if no parameter had been
    fitted to the same data. So where it is fitted, half the log determinant of the information on all others is taken
    off the log likelihood (Cox and Reid), and ``estimate`` and ``cov`` are those of what is left: for normal errors of
    one scatter that is to divide by ``n - k`` in place of ``n``. The quantile is Student's t with Satterthwaite's
    degrees of freedom, ``2 / var(log v)`` for a variance ``v`` that hangs on the scatter, which is ``n - k`` again; so
    intervals are those of least squares where errors are normal. Those of the scatter itself keep the normal quantile.

    References
    ----------
    Seber, Wild (1989), Nonlinear Regression, doi:10.1002/0471725315
    Cox, Reid (1987), Parameter orthogonality and approximate conditional inference, Journal of the Royal Statistical
    Society B 49, 1-39. doi:10.1111/j.2517-6161.1987.tb01422.x
    Satterthwaite (1946), An approximate distribution of estimates of variance components, Biometrics Bulletin 2,
    110-114. doi:10.2307/3002019

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": p.rate}, {"x": 0.0}, (0, 2), {"rate": 0.5})
    >>> data = xr.Dataset({"x": ("time", [1.1, 1.9])}, {"time": [1.0, 2.0]})
    >>> result = ps.fit(problem, data, loss="mse", optimizer="lbfgs", engine="diffrax", progress=False)
    >>> found = ps.standard_errors(result)
    >>> round(float(found.standard_error.sel(parameter="rate")), 3)
    0.06
    """
    if not 0 < level < 1:
        raise ProblemError(f"standard_errors: level must be between 0 and 1, got {level!r}")
    found = read_fitted("standard_errors", fitted)
    if found.is_likelihood:
        covariance = _inverse_curvature(found.objective, found.objective.value_and_gradient, found.objective.x0)
        adjusted = adjust_scatter(found)
        if found.scatter.any():
            covariance = _inverse_curvature(found.objective, adjusted.value_and_gradient, adjusted.x)
        return _to_dataset(found, adjusted.x, covariance, None, adjusted.freedom, level)
    if not found.is_squares or not found.is_plain:
        more = "" if found.is_plain else " with weights or penalties"
        raise UnsupportedByEngine(
            f"standard_errors: no engine has them for the loss {found.loss}{more}; use "
            "'nmse' or 'mse' alone, or a likelihood (ps.Normal(sigma=...))"
        )
    residuals, slopes = found.residuals()
    freedom = residuals.size - slopes.shape[1]
    if freedom < 1:
        raise ProblemError(
            f"standard_errors: {residuals.size} data for {slopes.shape[1]} parameters leave nothing to estimate their "
            "error from; give more data, or train less"
        )
    variance = float(residuals @ residuals) / freedom
    covariance = variance * _inverse(slopes, found.objective)
    return _to_dataset(found, found.objective.x0, covariance, variance, freedom, level)


def _inverse_curvature(misfit: Objective, value_and_gradient, x) -> np.ndarray:
    """Inverse of a loss's second derivatives, from differences of gradients; ProblemError where it isn't curved."""
    bends, size = curvature(value_and_gradient, x)
    if not np.isfinite(bends).all():
        raise SolveFailed("standard_errors: the model can't be solved near the fitted values")
    root = np.sqrt(np.maximum(np.abs(np.diag(bends)), np.finfo(float).tiny))
    values, directions = np.linalg.eigh(bends / np.outer(root, root))
    if values[0] < -NOT_LOWEST:
        raise ProblemError("standard_errors: the loss isn't at its minimum here, where it bends downwards; fit first")
    if values[0] < ROUGH_CUTOFF * values[-1]:
        raise ProblemError(_undetermined(directions[:, 0] / root, misfit.names))
    return (directions / values) @ directions.T * np.outer(size / root, size / root)


def _inverse(slopes, misfit):
    """``inv(J'J)``; ProblemError where a direction has no influence on the data."""
    size = np.sqrt(np.sum(slopes**2, axis=0))
    x = misfit.x0
    relative = np.where(x != 0, np.abs(x), 1.0)
    silent = size * relative <= 1e-9 * np.max(size * relative)
    if silent.any():
        names = ", ".join(name for name, is_silent in zip(misfit.names, silent, strict=True) if is_silent)
        raise ProblemError(
            f"standard_errors: {names} has no influence on the data, so they say nothing of it; leave it out of what "
            "is trained, or measure what depends on it"
        )
    _, values, directions = np.linalg.svd(slopes / size, full_matrices=False)
    if values[-1] < CUTOFF * values[0]:
        raise ProblemError(_undetermined(directions[-1] / size / relative, misfit.names))
    root = (directions.T / values) / size[:, None]
    return root @ root.T


def _undetermined(direction, names):
    """Which parameters can move together without changing the fit, ``direction`` being their relative changes."""
    largest = np.argmax(np.round(np.abs(direction) / np.max(np.abs(direction)), 3))
    direction = direction / direction[largest]
    moved = [(name, part) for name, part in zip(names, direction, strict=True) if abs(part) >= MENTIONED]
    told = ", ".join(f"{name} by {part:+.3g} %" for name, part in moved)
    return (
        f"standard_errors: the data do not determine all that was trained: changing {told} together leaves the fit as "
        f"it is; hold one of them (leave it out of trainable), or measure something that tells them apart"
    )


def _to_dataset(fitted: Fitted, x, covariance, variance, freedom, level):
    """Everything by the names of what was trained."""
    from scipy.stats import t

    error = np.sqrt(np.diag(covariance))
    margin = t.ppf(0.5 + 0.5 * level, freedom) * error
    names = list(fitted.objective.names)
    pair = ("parameter", "parameter_2")
    variables = {
        "estimate": ("parameter", x, {"long_name": "estimate"}),
        "standard_error": ("parameter", error, {"long_name": "standard error"}),
        "lower": ("parameter", x - margin, {"long_name": f"lower end of the {level:.0%} confidence interval"}),
        "upper": ("parameter", x + margin, {"long_name": f"upper end of the {level:.0%} confidence interval"}),
        "covariance": (pair, covariance, {"long_name": "covariance"}),
        "correlation": (pair, covariance / np.outer(error, error), {"long_name": "correlation"}),
    }
    coords = {
        "parameter": np.array(names, dtype=object),
        "parameter_2": np.array(names, dtype=object),
        "unit": ("parameter", np.array(fitted.units, dtype=object)),
    }
    attrs = {"level": level, "n_data": fitted.n_data}
    if variance is not None:
        scales = fitted.scales
        deviation = np.sqrt(variance) * np.array(list(scales.values()))
        variables["residual_deviation"] = ("variable", deviation, {"long_name": "deviation of the data from the model"})
        coords["variable"] = np.array(list(scales), dtype=object)
        attrs["degrees_of_freedom"] = freedom
    elif fitted.scatter.any():
        variables["degrees_of_freedom"] = ("parameter", freedom, {"long_name": "degrees of freedom"})
    return xr.Dataset(variables, coords, attrs)
