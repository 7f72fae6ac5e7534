"""sample(): draws of parameters and initial values for an ensemble."""

from collections.abc import Mapping

import xarray as xr

from ..errors import ProblemError
from ..problems.draws import (
    TRAJECTORY,
    check_count,
    check_distributions,
    check_method,
    check_seed,
    draw_values,
    spread_points,
)


def sample(distributions: Mapping, n: int, *, method: str = "random", seed: int = 0) -> xr.Dataset:
    """Return draws of several distributions, which :func:`ensemble` takes as ``over``.

    Parameters
    ----------
    distributions : dict
        Name of a scalar parameter or initial value to a frozen distribution of scipy.stats, in the value's unit.
    n : int
        Number of draws; a power of two for ``"sobol"``, whose balance others spoil.
    method : {"random", "sobol", "latin_hypercube"}, default "random"
        Independent draws; a scrambled Sobol sequence; or a Latin hypercube: n strata of each, one draw in each stratum.
    seed : int, default 0
        Same seed, same draws.

    Returns
    -------
    xarray.Dataset
        One variable ``(trajectory,)`` a name.

    Raises
    ------
    ProblemError
        For what is no distribution, an unknown method, or an ``n`` or ``seed`` that can't be.

    References
    ----------
    Sobol (1967), doi:10.1016/0041-5553(67)90144-9; Owen (1998), doi:10.1006/jcom.1998.0487 (scrambling);
    McKay, Beckman & Conover (1979), doi:10.2307/1268522 (Latin hypercubes). All by scipy.stats.qmc.

    Examples
    --------
    >>> import pysciml as ps
    >>> from scipy.stats import norm, uniform
    >>> over = ps.sample({"rate": uniform(0.5, 1.0), "u0_x": norm(1.0, 0.1)}, 8, method="sobol", seed=1)
    >>> dict(over.sizes), bool((over.rate > 0.5).all())
    ({'trajectory': 8}, True)
    """
    check_distributions("sample", distributions)
    check_method(method)
    n, seed = check_count("sample: n", n), check_seed(seed)
    if method == "random":
        return xr.Dataset({name: draw_values("sample", name, one, n, (), seed) for name, one in distributions.items()})
    if method == "sobol" and n & (n - 1):
        raise ProblemError(f"sample: n={n} is no power of two, without which a Sobol sequence is not balanced")
    points = spread_points(distributions, n, method, seed)
    return xr.Dataset({name: (TRAJECTORY, values) for name, values in points.items()})
