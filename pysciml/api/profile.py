"""profile(): how far each parameter can move before the fit gets worse, all others following."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import xarray as xr

from ..errors import ProblemError, SolveFailed, UnsupportedByEngine
from ..words import nearest
from .fit_result import FitResult
from .fitted import Fitted, curvature, read_fitted
from .objective import Objective

STEPS_TO_THRESHOLD = 5  # points on one side of a parabola
MOST_POINTS = 24  # on one side
REACH = 100.0  # how many times its own size a parameter is moved at most
FLAT = 0.01  # share of the threshold below which a rise is none
FAILED = 1e30  # what a point that can't be solved, or lies outside the bounds, is worth


def profile(
    fitted: FitResult | Objective, names: None | str | Sequence[str] = None, *, level: float = 0.95
) -> xr.Dataset:
    """Return profile likelihoods of fitted parameters, and whether the data identify each.

    One parameter is moved away from its estimate on both sides, and all others are fitted again at each point.

    Parameters
    ----------
    fitted : FitResult or Objective
        What :func:`fit` returned, with ``loss="nmse"`` or ``"mse"``; or an objective, of a likelihood too, of a problem
        that holds the fitted values: ``ps.objective(result.problem, data, loss=ps.Poisson())``.
    names : str or sequence of str, optional
        Names or globs of elements of what was trained, as in :func:`standard_errors` (``"k"``, ``"rates[0]"``).
        None: all.
    level : float, default 0.95
        Probability of the confidence intervals (dimensionless).

    Returns
    -------
    xarray.Dataset
        ``value`` and ``rise (parameter, point)``: where the parameter was held, and by how much twice the negative log
        likelihood rose there (NaN behind the last point); ``others (parameter, point, parameter_2)``, what was trained
        at these points. ``estimate``, ``lower`` and ``upper (parameter)``: the confidence interval, infinite on a side
        where the rise stays below the threshold; ``verdict (parameter)``: ``"identifiable"``, ``"practically
        non-identifiable"`` (an interval without end), or ``"structurally non-identifiable"`` (no rise at all).
        ``attrs`` hold ``level`` and ``threshold``.

    Raises
    ------
    ProblemError
        For names that were not trained, and where the model meets the data exactly, so that there is no noise.
    UnsupportedByEngine
        For other losses.
    SolveFailed
        If the fitted problem can't be solved.

    Notes
    -----
    For least squares the rise is ``(S - S_min) / s**2`` with the sum of squares ``S`` and ``s**2 = S_min / (n - k)``;
    the threshold is the quantile of Fisher's F with 1 and ``n - k`` degrees of freedom: where the solution is linear in
    the parameters, the interval is that of :func:`standard_errors`. For a likelihood (priors counted in) the threshold
    is the quantile of chi squared with 1 degree of freedom, which is right for many data: with a fitted scatter and
    few of them intervals are too short, see the notes of :func:`standard_errors`. A parameter is moved by at most a
    hundred times its size, up to its bounds, and as long as the model can be solved; the verdict speaks of this
    stretch.

    References
    ----------
    Raue et al. (2009), Structural and practical identifiability analysis of partially observed dynamical models by
    exploiting the profile likelihood, doi:10.1093/bioinformatics/btp358
    Bates, Watts (1988), Nonlinear Regression Analysis and Its Applications, doi:10.1002/9780470316757

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": p.rate}, {"x": 0.0}, (0, 2), {"rate": 0.5})
    >>> data = xr.Dataset({"x": ("time", [1.1, 1.9])}, {"time": [1.0, 2.0]})
    >>> result = ps.fit(problem, data, loss="mse", optimizer="lbfgs", engine="diffrax", progress=False)
    >>> str(ps.profile(result, "rate").verdict.values[0])
    'identifiable'
    """
    if not 0 < level < 1:
        raise ProblemError(f"profile: level must be between 0 and 1, got {level!r}")
    found = read_fitted("profile", fitted)
    if not found.is_squares and not found.is_likelihood:
        raise UnsupportedByEngine(
            f"profile: no engine has it for the loss {found.loss!r}, which is neither a sum of squares ('nmse', 'mse') "
            "nor a likelihood (ps.Normal(sigma=...))"
        )
    misfit = found.objective
    chosen = _choose(names, misfit.names)
    rise, threshold = _make_rise(found, level)
    walks = [_walk(rise, element, threshold) for element in chosen]
    lowest = min(float(np.min(walk.rises)) for walk in walks)
    if lowest < -FLAT * threshold:
        warnings.warn(
            f"profile: a better fit was found on the way (by {-lowest:.3g}, where the threshold is {threshold:.3g}); "
            "fit again, for longer or from there",
            stacklevel=2,
        )
    return _to_dataset(found, rise.best, [misfit.names[k] for k in chosen], walks, threshold, level)


def _choose(names, known):
    """Places of the elements that are meant; ProblemError for a pattern that matches none."""
    if names is None:
        return list(range(len(known)))
    patterns = [names] if isinstance(names, str) else list(names)
    chosen = []
    for pattern in patterns:
        found = [k for k, name in enumerate(known) if name == pattern or fnmatchcase(name, pattern)]
        if not found:
            hint = nearest(pattern, known)
            raise ProblemError(f"profile: {pattern!r} was not trained; the names are {', '.join(known)}{hint}")
        chosen += [k for k in found if k not in chosen]
    return chosen


@dataclass(frozen=True, eq=False)
class Rise:
    """Twice the negative log likelihood above its minimum, as a function of ``x (k,)``.

    ``best (k,)`` is where it is 0, ``covariance (k, k)`` the inverse of its curvature there, times two.
    """

    value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    best: np.ndarray
    covariance: np.ndarray
    bounds: np.ndarray

    def minimise(self, x: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
        """The lowest point from ``x`` with the elements ``free`` moving, and the rise there; inf if it can't be had."""
        from scipy.optimize import minimize

        if not free.any():
            value = self.value_and_gradient(x)[0]
            return x, value if value < FAILED else np.inf
        root = np.linalg.cholesky(np.linalg.inv(np.linalg.inv(self.covariance)[np.ix_(free, free)]))

        def at(z):
            moved = x.copy()
            moved[free] += root @ z
            return moved

        def whitened(z):
            value, gradient = self.value_and_gradient(at(z))
            return value, root.T @ gradient[free]

        found = minimize(whitened, np.zeros(root.shape[0]), jac=True, method="BFGS", options={"gtol": 5e-3})
        return at(found.x), float(found.fun) if found.fun < FAILED else np.inf


def _make_rise(fitted: Fitted, level: float) -> tuple[Rise, float]:
    """The rise of an objective above its minimum near its ``x0``, and the threshold of a level."""
    from scipy.stats import chi2, f

    misfit = fitted.objective
    start, freedom = misfit.value(misfit.x0), fitted.n_data - misfit.x0.size
    if not np.isfinite(start):
        raise SolveFailed("profile: the fitted problem can't be solved; call ps.solve on it to see where and why")
    if fitted.is_squares and freedom < 1:
        raise ProblemError(
            f"profile: {fitted.n_data} data for {misfit.x0.size} parameters leave nothing to estimate their error "
            "from; give more data, or train less"
        )
    if fitted.is_squares and start <= 0.0:
        raise ProblemError("profile: the model meets the data exactly, so there is no noise to compare a rise with")
    bounds = np.array([[-np.inf if lo is None else lo, np.inf if hi is None else hi] for lo, hi in misfit.bounds])

    def make(lowest):
        factor = freedom / lowest if fitted.is_squares else 2.0

        def value_and_gradient(x):
            inside = (x > bounds[:, 0]).all() and (x < bounds[:, 1]).all()
            value, gradient = misfit.value_and_gradient(x) if inside else (np.nan, x)
            if not np.isfinite(value):
                return FAILED, np.zeros_like(x)
            return factor * (value - lowest), factor * gradient

        return value_and_gradient

    rough = Rise(make(start), misfit.x0, _covariance(make(start), misfit.x0), bounds)
    best, gain = rough.minimise(misfit.x0, np.ones(misfit.x0.size, dtype=bool))
    lowest = start + min(gain, 0.0) * (start / freedom if fitted.is_squares else 0.5)
    threshold = float(f.ppf(level, 1, freedom) if fitted.is_squares else chi2.ppf(level, 1))
    return Rise(make(lowest), best, rough.covariance, bounds), threshold


def _covariance(value_and_gradient, x):
    """Twice the inverse of the curvature, from differences of gradients; what is flat is bounded by its own size."""
    bends, size = curvature(value_and_gradient, x)
    values, directions = np.linalg.eigh(bends)
    values = np.maximum(np.abs(values), 2 / REACH**2)  # standard errors of at most so many times the size
    return 2 * (directions / values) @ directions.T * np.outer(size, size)


@dataclass(frozen=True, eq=False)
class Walk:
    """The profile of one element: all elements at its points ``(point, k)``, the rises, and the interval."""

    points: np.ndarray
    rises: np.ndarray
    lower: float
    upper: float

    def verdict(self, threshold: float) -> str:
        """Whether the data identify the element."""
        if np.isfinite(self.lower) and np.isfinite(self.upper):
            return "identifiable"
        is_flat = np.max(self.rises) < FLAT * threshold
        return f"{'structurally' if is_flat else 'practically'} non-identifiable"


def _walk(rise: Rise, element: int, threshold: float) -> Walk:
    """The profile of an element on both sides of the estimate."""
    below, under = _walk_side(rise, element, threshold, -1.0)
    above, over = _walk_side(rise, element, threshold, 1.0)
    points = np.array([*below[::-1], rise.best, *above])
    rises = np.array([*under[::-1], 0.0, *over])
    ends = [_crossing([rise.best[element], *(x[element] for x in side)], [0.0, *heights], threshold)
            for side, heights in ((below, under), (above, over))]  # fmt: skip
    lower, upper = (sign * np.inf if end is None else end for sign, end in zip((-1.0, 1.0), ends, strict=True))
    return Walk(points, rises, lower, upper)


def _walk_side(rise, element, threshold, sign):
    """Points and rises from the estimate to where the threshold is passed, or as far as one can go."""
    best = rise.best
    size = abs(best[element]) or 1.0
    target = np.sqrt(threshold) / STEPS_TO_THRESHOLD
    step = min(np.sqrt(rise.covariance[element, element]) * target, 0.2 * size)
    slope = rise.covariance[:, element] / rise.covariance[element, element]  # how the others follow
    points, rises, last = [], [], best
    while len(points) < MOST_POINTS:
        x, height = _next_point(rise, element, last, slope, sign * step)
        if not np.isfinite(height):
            step /= 4
            if step < 1e-3 * size:
                break
            continue
        if x[element] == last[element]:
            break
        climb = np.sqrt(max(height, 0.0)) - np.sqrt(max(rises[-1] if rises else 0.0, 0.0))
        slope = (x - last) / (x[element] - last[element])
        points, rises, last = [*points, x], [*rises, height], x
        if height > 1.2 * threshold or abs(x[element] - best[element]) > REACH * size:
            break
        step *= float(np.clip(target / max(climb, 1e-3 * target), 0.5, 2.0))
    return points, rises


def _next_point(rise, element, last, slope, step):
    """The lowest point with an element moved on, the others starting on a straight line, or where they were."""
    low, high = (rise.best + (1 - 1e-6) * (ends - rise.best) for ends in rise.bounds.T)  # a hair inside
    free = np.arange(last.size) != element
    x, height = last, np.inf
    for follow in (slope, np.where(free, 0.0, 1.0)):
        x, height = rise.minimise(np.clip(last + follow * step, low, high), free)
        if np.isfinite(height):
            break
    return x, height


def _crossing(values, rises, threshold):
    """Where the rise passes the threshold, its root taken as straight between two points; None where it doesn't."""
    roots = np.sqrt(np.maximum(rises, 0.0))
    for k in range(1, len(roots)):
        if rises[k] >= threshold:
            share = (np.sqrt(threshold) - roots[k - 1]) / (roots[k] - roots[k - 1])
            return float(values[k - 1] + share * (values[k] - values[k - 1]))
    return None


def _to_dataset(fitted, best, names, walks, threshold, level):
    """All profiles side by side, the shorter ones filled with NaN."""
    longest = max(len(walk.rises) for walk in walks)
    everything = fitted.objective.names
    places = [everything.index(name) for name in names]

    def padded(array):
        fill = np.full((longest - len(array), *array.shape[1:]), np.nan)
        return np.concatenate([array, fill])

    points = np.array([padded(walk.points) for walk in walks])
    rises = np.array([padded(walk.rises) for walk in walks])
    variables = {
        "value": (("parameter", "point"), np.array([points[k, :, place] for k, place in enumerate(places)])),
        "rise": (("parameter", "point"), rises, {"long_name": "rise of twice the negative log likelihood"}),
        "others": (("parameter", "point", "parameter_2"), points),
        "estimate": ("parameter", best[places]),
        "lower": ("parameter", np.array([walk.lower for walk in walks])),
        "upper": ("parameter", np.array([walk.upper for walk in walks])),
        "verdict": ("parameter", np.array([walk.verdict(threshold) for walk in walks], dtype=object)),
    }
    coords = {
        "parameter": np.array(names, dtype=object),
        "parameter_2": np.array(everything, dtype=object),
        "unit": ("parameter", np.array([fitted.units[place] for place in places], dtype=object)),
    }
    return xr.Dataset(variables, coords, {"level": level, "threshold": threshold})
