"""By how much a fit gets worse around its best point."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import SolveFailed
from .fitted import curvature

REACH = 100.0  # how many times its own size a parameter is moved at most
FAILED = 1e30  # what a point that can't be solved, or lies outside the bounds, is worth


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


def make_rise(value_and_gradient: Callable, x: np.ndarray, bounds: np.ndarray, factor: float = 2.0) -> Rise:
    """``factor`` times a loss above its value at ``x``; where it can't be had, or outside the bounds, it FAILED."""
    lowest = value_and_gradient(x)[0]

    def rise(x):
        inside = (x > bounds[:, 0]).all() and (x < bounds[:, 1]).all()
        value, gradient = value_and_gradient(x) if inside else (np.nan, x)
        if not np.isfinite(value):
            return FAILED, np.zeros_like(x)
        return factor * (value - lowest), factor * gradient

    values, directions, size = bounded_curvature(rise, x)
    return Rise(rise, x, 2 * (directions / values) @ directions.T * np.outer(size, size), bounds)


def bounded_curvature(value_and_gradient: Callable, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues and directions of second derivatives by relative changes, and the size of ``x``.

    What is flat is bounded by its own size: standard errors are ``REACH`` times that at most.
    """
    bends, size = curvature(value_and_gradient, x)
    if not np.isfinite(bends).all():
        raise SolveFailed("the model can't be solved near the fitted values; call ps.solve there to see where and why")
    values, directions = np.linalg.eigh(bends)
    return np.maximum(np.abs(values), 2 / REACH**2), directions, size


def read_bounds(bounds) -> np.ndarray:
    """Bounds ``(k, 2)``, infinite where there are none."""
    return np.array([[-np.inf if lo is None else lo, np.inf if hi is None else hi] for lo, hi in bounds])
