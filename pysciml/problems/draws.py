"""Random values of many trajectories: distributions of scipy.stats, drawn by name and seed."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..words import nearest

TRAJECTORY = "trajectory"
METHODS = ("random", "sobol", "latin_hypercube")


def is_distribution(value) -> bool:
    """Whether something can be drawn from, as a frozen distribution of scipy.stats."""
    return callable(getattr(value, "rvs", None))


def check_distributions(function: str, distributions) -> None:
    """ProblemError unless these are frozen distributions of one variable by name."""
    if not isinstance(distributions, Mapping) or not distributions:
        raise ProblemError(f"{function}: distributions must be a dict such as {{'k': scipy.stats.norm(1.0, 0.1)}}")
    for name, one in distributions.items():
        if not is_distribution(one) or not hasattr(one, "ppf"):
            raise ProblemError(
                f"{function}: distributions[{name!r}] must be a frozen distribution of one variable, such as "
                f"scipy.stats.norm(1.0, 0.1), got {one!r}"
            )


def draw_values(where: str, name: str, distribution, count: int, shape: Sequence[int], seed: int) -> xr.DataArray:
    """Independent draws ``(trajectory, *shape)``: they depend on the seed and on the name only."""
    mixed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    generator = np.random.Generator(np.random.PCG64([seed, mixed]))
    is_many = not hasattr(distribution, "ppf")  # one draw is a vector already
    values = np.asarray(distribution.rvs(size=count if is_many else (count, *shape), random_state=generator))
    if values.shape[1:] != tuple(shape):
        raise ProblemError(f"{where}: a draw has shape {values.shape[1:]}, but the value has {tuple(shape)}")
    own = [f"{name}_dim_{k}" for k in range(len(shape))]
    return xr.DataArray(values.astype(np.float64), dims=(TRAJECTORY, *own))


def check_seed(seed) -> int:
    """A seed as an integer; ProblemError otherwise."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ProblemError(f"seed must be an integer, 0 or more, got {seed!r}")
    return int(seed)


def check_count(where: str, count) -> int:
    """A number of draws; ProblemError otherwise."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise ProblemError(f"{where} must be a positive integer, got {count!r}")
    return int(count)


def check_method(method) -> None:
    """ProblemError for a word that is no way to draw."""
    if method not in METHODS:
        raise ProblemError(f"sample: unknown method {method!r}; one of {', '.join(METHODS)}{nearest(method, METHODS)}")


def spread_points(distributions: Mapping, count: int, method: str, seed: int) -> dict[str, np.ndarray]:
    """Points ``(count,)`` of each distribution that fill their space more evenly than independent draws do."""
    from scipy.stats import qmc

    maker = {"sobol": qmc.Sobol, "latin_hypercube": qmc.LatinHypercube}[method]
    sampler = maker(len(distributions), seed=np.random.default_rng(seed))
    points = np.asarray(sampler.random(count))
    return {name: np.asarray(one.ppf(points[:, k])) for k, (name, one) in enumerate(distributions.items())}
