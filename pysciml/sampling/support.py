"""Where a density lives: bounded elements as functions of unbounded ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Support:
    """Bounds ``low`` and ``high (k,)``, infinite where there are none, and the ``size (k,)`` of each element.

    What is sampled is ``w``, with ``z = center + root @ w``.
    An element without bounds is ``size * z``, one above ``low`` is ``low + size * exp(z)``, one between two bounds is
    ``low + (high - low) / (1 + exp(-z))``.
    """

    low: np.ndarray
    high: np.ndarray
    size: np.ndarray
    center: np.ndarray  # (k,), and
    root: np.ndarray  # (k, k): z is the center and root times what is sampled

    @property
    def is_whitened(self) -> bool:
        """Whether ``w`` follows a density's curvature."""
        return bool(self.center.any() or (self.root != np.eye(self.size.size)).any())

    @property
    def is_above(self) -> np.ndarray:
        """Which elements have a lower bound only."""
        return np.isfinite(self.low) & ~np.isfinite(self.high)

    @property
    def is_between(self) -> np.ndarray:
        """Which elements have two bounds."""
        return np.isfinite(self.low) & np.isfinite(self.high)

    def to_unbounded(self, x: np.ndarray) -> np.ndarray:
        """The ``w (k,)`` of ``x (k,)``, which lies inside the bounds."""
        z = x / self.size
        above, between = self.is_above, self.is_between
        z[above] = np.log((x[above] - self.low[above]) / self.size[above])
        share = (x[between] - self.low[between]) / (self.high[between] - self.low[between])
        z[between] = np.log(share) - np.log1p(-share)
        return np.linalg.solve(self.root, z - self.center)

    def whitened(self, x: np.ndarray, bends: np.ndarray) -> "Support":
        """The same with a ``w`` in which a density is as wide in all directions that bends so much at ``x`` (now 0).

        ``bends (k, k)`` are minus its logarithm's second derivatives; no direction becomes wider than it was.
        """
        values, directions = np.linalg.eigh(0.5 * (bends + bends.T))
        root = self.root @ (directions / np.sqrt(np.maximum(np.abs(values), 1.0))) @ directions.T
        return replace(self, center=self.center + self.root @ self.to_unbounded(x), root=root)

    def to_bounded(self, w, xp: Any = np):
        """The ``x (k,)`` of ``w (k,)``, and the log of the volume that a unit of ``w`` has there, up to a constant.

        ``xp`` is NumPy or what speaks like it; no branch has a NaN, since that would pass into derivatives.
        """
        return to_bounded(self.constants, w, xp)

    @property
    def constants(self) -> tuple[np.ndarray, ...]:
        """What :func:`to_bounded` computes with."""
        above, between = self.is_above, self.is_between
        low = np.where(np.isfinite(self.low), self.low, 0.0)
        width = np.where(between, np.where(between, self.high, 0.0) - low, 1.0)
        return self.center, self.root, above, between, low, width, self.size


def to_bounded(constants: Sequence, w, xp: Any = np):
    """:meth:`Support.to_bounded` of a support's ``constants``, which may be traced too."""
    center, root, above, between, low, width, size = constants
    z = center + root @ w
    raised, share = xp.where(above, z, 0.0), xp.where(between, z, 0.0)
    x = xp.where(between, low + width / (1.0 + xp.exp(-share)), size * z)
    x = xp.where(above, low + size * xp.exp(raised), x)
    within = xp.where(between, -xp.abs(share) - 2.0 * xp.log1p(xp.exp(-xp.abs(share))), 0.0)
    return x, xp.sum(raised) + xp.sum(within)


def make_support(bounds: Sequence[tuple[float | None, float | None]], x: np.ndarray) -> Support:
    """The support with these bounds around ``x (k,)``; ``x`` or its distance from a bound is the size."""
    low = np.array([-np.inf if lo is None else lo for lo, _ in bounds], dtype=float)
    high = np.array([np.inf if hi is None else hi for _, hi in bounds], dtype=float)
    size = np.abs(x - np.where(np.isfinite(low), low, 0.0))
    return Support(low, high, np.where(size > 0, size, 1.0), np.zeros(x.size), np.eye(x.size))
