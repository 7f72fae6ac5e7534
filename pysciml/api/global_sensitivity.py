"""global_sensitivity(): which parameters matter over their whole ranges, by SALib."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..datasets.attrs import to_json
from ..errors import EngineUnavailable, ProblemError
from ..problems.draws import TRAJECTORY, check_count, check_distributions, check_seed
from ..problems.ode import ODEProblem
from ..words import nearest
from .ensemble import ensemble

POINTS = {"sobol": 1024, "morris": 50}  # unasked
INDICES = {"sobol": ("S1", "S1_conf", "ST", "ST_conf"), "morris": ("mu", "mu_star", "mu_star_conf", "sigma")}
PAIRS = ("S2", "S2_conf")
LONG_NAMES = {
    "S1": "share of the variance by itself",
    "ST": "share of the variance with all others",
    "S2": "share of the variance by a pair",
    "mu": "mean elementary effect",
    "mu_star": "mean size of elementary effects",
    "sigma": "scatter of elementary effects",
}
LEVELS = 4  # of a parameter, between which Morris's paths step
EDGE = 0.01  # quantile in the place of an infinite end, where such steps begin
FEWEST = 4  # groups of solves
_MOST_EVEN = 1e-12  # relative: what varies less depends on nothing


def global_sensitivity(
    problem: ODEProblem,
    distributions: Mapping,
    *,
    method: str = "sobol",
    n: int | None = None,
    second_order: bool = False,
    reduce=None,
    level: float = 0.95,
    seed: int = 0,
    **options,
) -> xr.Dataset:
    """Return indices that say how much of the scatter of a model's results is each parameter's.

    Parameters
    ----------
    problem : ODEProblem
        The model.
    distributions : dict
        Name of a scalar parameter or initial value to a frozen distribution of scipy.stats, independent of the others.
    method : {"sobol", "morris"}, default "sobol"
        Shares of the variance, of each parameter alone and with all others; or elementary effects, which rank
        parameters by a tenth of the solves.
    n : int, optional
        ``"sobol"``: points of the sequence, a power of two, default 1024, which takes ``n (d + 2)`` solves for ``d``
        parameters, or ``n (2 d + 2)`` with ``second_order``. ``"morris"``: paths, default 50, of ``d + 1`` solves.
    second_order : bool, default False
        Shares of pairs of parameters too (Sobol).
    reduce : callable or "last", optional
        What each solution is reduced to, as for :func:`ensemble`. None: indices at every save time.
    level : float, default 0.95
        Of the intervals, whose half widths are found by drawing the points anew.
    seed : int, default 0
        Same seed, same points.
    **options
        Those of :func:`ensemble`: ``saveat``, ``algorithm``, ``engine``, ``parallel``, ...

    Returns
    -------
    xarray.Dataset
        For each result ``<name>_S1`` and ``<name>_ST`` ``(parameter, *dims)``, with ``second_order`` also
        ``<name>_S2 (parameter, parameter_2, *dims)``, or ``<name>_mu``, ``_mu_star`` and ``_sigma``, and half widths
        ``<index>_conf``. NaN where a result does not vary. Effects are in the result's unit, over a range of quantiles.

    Raises
    ------
    ProblemError
        For distributions, a method or a number that can't be, and if hardly any solve succeeds.
    EngineUnavailable
        Without SALib (``pip install 'pysciml[sensitivity]'``).

    Warns
    -----
    RuntimeWarning
        If solves failed: the points that they belong to are left out.

    References
    ----------
    Sobol (2001), doi:10.1016/S0378-4754(00)00270-6; Saltelli et al. (2010), doi:10.1016/j.cpc.2009.09.018; Morris
    (1991), doi:10.2307/1269043; Campolongo, Cariboni & Saltelli (2007), doi:10.1016/j.envsoft.2006.10.004, of
    ``mu_star``. SALib: Iwanaga, Usher & Herman (2022), doi:10.18174/sesmo.18155.

    Examples
    --------
    >>> import pysciml as ps
    >>> from scipy.stats import uniform
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": p.a + 2 * p.b}, {"x": 0.0}, (0, 1), {"a": 1.0, "b": 1.0})
    >>> ranges = {"a": uniform(0, 1), "b": uniform(0, 1)}
    >>> found = ps.global_sensitivity(problem, ranges, n=256, reduce="last", saveat=[1.0], engine="diffrax")
    >>> found.x_last_S1.round(1).values.tolist()  # variances 1/12 and 4/12
    [0.2, 0.8]
    """
    plan = _make_plan(distributions, method, n, second_order, level, seed)
    if isinstance(reduce, str) and reduce != "last":
        raise ProblemError(f"global_sensitivity: reduce must be a function or 'last', got {reduce!r}")
    points = plan.draw()
    ds = ensemble(problem, plan.values(points), reduce=reduce, **options)
    found: dict = {}
    left_out = {"status", "statistics", *(f"{event.name}_time" for event in problem.events)}
    for name, result in ds.data_vars.items():
        if TRAJECTORY in result.dims and name not in left_out:
            found |= _indices(plan, str(name), result.transpose(TRAJECTORY, ...), points)
    names = np.array(list(distributions), dtype=object)
    coords = {"parameter": names} | ({"parameter_2": names} if plan.second_order else {})
    same = ds.drop_dims([TRAJECTORY, "statistic"], errors="ignore").coords
    coords |= {str(name): coord.variable for name, coord in same.items()}
    about = {"method": method, "n": plan.n, "level": level, "seed": seed}
    return xr.Dataset(found, coords, ds.attrs | {"global_sensitivity": to_json(about)})


@dataclass(frozen=True)
class _Plan:
    """What is drawn and computed."""

    distributions: Mapping
    method: str
    n: int
    second_order: bool
    level: float
    seed: int

    @property
    def spec(self) -> dict:
        """SALib's own: all on the unit interval."""
        d = len(self.distributions)
        return {"num_vars": d, "names": list(self.distributions), "bounds": [[0.0, 1.0]] * d}

    @property
    def group(self) -> int:
        """How many solves belong together."""
        d = len(self.distributions)
        return d + 1 if self.method == "morris" else 2 * d + 2 if self.second_order else d + 2

    @property
    def words(self) -> tuple[str, ...]:
        """Names of indices."""
        return INDICES[self.method] + (PAIRS if self.second_order else ())

    def draw(self) -> np.ndarray:
        """Points ``(solve, parameter)`` of the unit cube."""
        try:
            from SALib.sample import morris, sobol
        except ImportError as error:
            raise EngineUnavailable("global_sensitivity needs SALib: pip install 'pysciml[sensitivity]'") from error
        if self.method == "morris":
            return morris.sample(self.spec, self.n, num_levels=LEVELS, seed=self.seed)
        return sobol.sample(self.spec, self.n, calc_second_order=self.second_order, seed=self.seed)

    def values(self, points: np.ndarray) -> xr.Dataset:
        """What these points stand for."""
        columns = zip(self.distributions.items(), points.T, strict=True)
        return xr.Dataset({name: (TRAJECTORY, one.ppf(self._inside(one, column))) for (name, one), column in columns})

    def _inside(self, distribution, column):
        """Quantiles at which a distribution is finite."""
        low, high = np.finfo(float).tiny, 1.0 - np.finfo(float).eps
        if self.method == "morris":
            ends = ((0.0, EDGE), (1.0, 1.0 - EDGE))
            low, high = (end if np.isfinite(distribution.ppf(end)) else inner for end, inner in ends)
        return low + (high - low) * column

    def analyse(self, points: np.ndarray, column: np.ndarray) -> Any:
        """Indices of one number a solve, by name; of pairs a symmetric matrix."""
        from SALib.analyze import morris, sobol

        words: dict = {"conf_level": self.level, "seed": self.seed}
        if self.method == "morris":
            return morris.analyze(self.spec, points, column, num_levels=LEVELS, **words)
        found = sobol.analyze(self.spec, column, calc_second_order=self.second_order, **words)
        for word in PAIRS if self.second_order else ():  # the upper triangle is there
            found[word] = np.where(np.isnan(found[word]), np.transpose(found[word]), found[word])
        return found


def _make_plan(distributions, method, n, second_order, level, seed) -> _Plan:
    """ProblemError for what can't be."""
    if method not in POINTS:
        raise ProblemError(
            f"global_sensitivity: unknown method {method!r}; one of {', '.join(POINTS)}{nearest(method, POINTS)}"
        )
    check_distributions("global_sensitivity", distributions)
    n = check_count("global_sensitivity: n", POINTS[method] if n is None else n)
    if method == "sobol" and n & (n - 1):
        raise ProblemError(
            f"global_sensitivity: n={n} is no power of two, without which a Sobol sequence is unbalanced"
        )
    if second_order and method != "sobol":
        raise ProblemError("global_sensitivity: second_order=True needs method='sobol'")
    if not 0.0 < level < 1.0:
        raise ProblemError(f"global_sensitivity: level must be between 0 and 1, got {level!r}")
    return _Plan(distributions, method, n, second_order, level, check_seed(seed))


def _indices(plan: _Plan, name: str, result: xr.DataArray, points) -> dict:
    """The variables of one result ``(trajectory, *dims)``."""
    values = result.values.reshape(len(points), -1)
    is_used = _complete_groups(name, values, plan.group)
    d, variables = len(plan.distributions), {}
    own = {word: ("parameter", "parameter_2") if word in PAIRS else ("parameter",) for word in plan.words}
    found = {word: np.full((d,) * len(own[word]) + values.shape[1:], np.nan) for word in plan.words}
    for k, column in enumerate(values[is_used].T):
        if np.ptp(column) > _MOST_EVEN * np.abs(column).max():
            indices = plan.analyse(points[is_used], column)
            for word in plan.words:
                found[word][..., k] = indices[word]
    for word, array in found.items():
        dims, shape = (*own[word], *result.dims[1:]), array.shape[:-1] + result.shape[1:]
        variables[f"{name}_{word}"] = (dims, array.reshape(shape), _index_attrs(word, result, plan.method))
    return variables


def _complete_groups(name, values, size):
    """Which solves are of groups that all succeeded; ProblemError if these are too few."""
    is_good = np.isfinite(values).all(axis=1).reshape(-1, size).all(axis=1)
    said = f"global_sensitivity: of {name} {(~is_good).sum()} of {is_good.size} groups of solves have a failed one"
    if is_good.sum() < FEWEST:
        raise ProblemError(f"{said}: look at ps.ensemble(...).sciml.failed() for these distributions")
    if not is_good.all():
        warnings.warn(f"{said}; they are left out", RuntimeWarning, stacklevel=4)
    return np.repeat(is_good, size)


def _index_attrs(word, result, method):
    index, is_conf = word.removesuffix("_conf"), word.endswith("_conf")
    what = f"{LONG_NAMES[index]} in {result.attrs.get('long_name', result.name)}"
    attrs = {"long_name": f"half width of the interval of the {what}" if is_conf else what}
    return attrs | ({"units": result.attrs["units"]} if method == "morris" and "units" in result.attrs else {})
