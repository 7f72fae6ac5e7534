"""profile(): how far each parameter can move before the fit gets worse, all others following."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import xarray as xr

from ..errors import ProblemError, SolveFailed, UnsupportedByEngine
from ..words import nearest
from .fit_result import FitResult
from .fitted import Fitted, read_fitted
from .objective import Objective
from .rise import REACH, Rise, make_rise, read_bounds
from .scatter import adjust_scatter

STEPS_TO_THRESHOLD = 5  # points on one side of a parabola
MOST_POINTS = 24  # on one side
SUDDEN = 100.0  # thresholds by which one step is too long
FLAT = 0.01  # share of the threshold below which a rise is none


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
        non-identifiable"`` (an interval without end), or ``"structurally non-identifiable"`` (no rise at all);
        ``threshold (parameter)``, the rise at the ends of the interval. ``attrs`` hold ``level``.

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
    is the quantile of chi squared with 1 degree of freedom. Where its scatter is fitted too, the likelihood is the
    adjusted one of the notes of :func:`standard_errors`, and the threshold ``v log(1 + F / v)``, with the quantile
    ``F`` of Fisher's distribution with 1 and ``v`` degrees of freedom: for normal errors the interval is then that of
    least squares. A parameter is moved by at most a hundred times its size, up to its bounds, and as long as the model
    can be solved; the verdict speaks of this stretch.

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
    rise, thresholds = _make_rise(found, level)
    walks = [_walk(rise, element, thresholds[element]) for element in chosen]
    lowest, threshold = min((float(np.min(walk.rises)), walk.threshold) for walk in walks)
    if lowest < -FLAT * threshold:
        warnings.warn(
            f"profile: a better fit was found on the way (by {-lowest:.3g}, where the threshold is {threshold:.3g}); "
            "fit again, for longer or from there",
            stacklevel=2,
        )
    return _to_dataset(found, rise.best, [misfit.names[k] for k in chosen], walks, level)


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


def _make_rise(fitted: Fitted, level: float) -> tuple[Rise, np.ndarray]:
    """The rise of an objective above its minimum near its ``x0``, and the threshold of a level ``(k,)``."""
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
    adjusted = adjust_scatter(fitted)
    factor = freedom / start if fitted.is_squares else 2.0
    rough = make_rise(adjusted.value_and_gradient, adjusted.x, read_bounds(misfit.bounds), factor)
    best, gain = rough.minimise(adjusted.x, np.ones(adjusted.x.size, dtype=bool))
    gain = min(gain, 0.0)
    stretch = 1.0 / (1.0 + gain / freedom) if fitted.is_squares else 1.0  # of the lower sum in the divisor

    def rise(x):
        value, gradient = rough.value_and_gradient(x)
        return stretch * (value - gain), stretch * gradient

    thresholds = np.full(best.size, freedom) if fitted.is_squares else adjusted.freedom
    return replace(rough, value_and_gradient=rise, best=best), _thresholds(thresholds, level, fitted.is_squares)


def _thresholds(freedom, level, is_squares):
    """Rises at the ends of intervals, by degrees of freedom."""
    from scipy.stats import chi2, f

    found, is_few = np.full(freedom.size, chi2.ppf(level, 1)), np.isfinite(freedom)
    few = freedom[is_few]
    quantiles = f.ppf(level, 1, few)
    found[is_few] = quantiles if is_squares else few * np.log1p(quantiles / few)
    return found


@dataclass(frozen=True, eq=False)
class Walk:
    """The profile of one element: all elements at its points ``(point, k)``, the rises, and the interval."""

    points: np.ndarray
    rises: np.ndarray
    lower: float
    upper: float
    threshold: float  # of the rise at its ends

    @property
    def verdict(self) -> str:
        """Whether the data identify the element."""
        if np.isfinite(self.lower) and np.isfinite(self.upper):
            return "identifiable"
        is_flat = np.max(self.rises) < FLAT * self.threshold
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
    return Walk(points, rises, lower, upper, threshold)


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
        is_sudden = height > SUDDEN * threshold  # the others may have lost the way
        if not np.isfinite(height) or (is_sudden and step >= 4e-3 * size):
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


def _to_dataset(fitted, best, names, walks, level):
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
        "verdict": ("parameter", np.array([walk.verdict for walk in walks], dtype=object)),
        "threshold": ("parameter", np.array([walk.threshold for walk in walks])),
    }
    coords = {
        "parameter": np.array(names, dtype=object),
        "parameter_2": np.array(everything, dtype=object),
        "unit": ("parameter", np.array([fitted.units[place] for place in places], dtype=object)),
    }
    return xr.Dataset(variables, coords, {"level": level})
