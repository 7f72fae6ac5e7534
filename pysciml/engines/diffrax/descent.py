"""Descent by first-order optimizers and by L-BFGS, one value and gradient at a time.

Both ask one compiled function for everything. So a fit compiles its gradient once (optax's L-BFGS would inline it twice
more into its line search), can be interrupted between any two solves, and rejects a step whose solve fails.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

import jax
import numpy as np
import optax

from ...fitting.stages import Stage

KEPT = ("here", "best")  # the points in a saved state
MEMORY = 10  # pairs that L-BFGS remembers
TRIALS = 20  # of a line search
DECREASE, CURVATURE = 1e-4, 0.9  # strong Wolfe conditions (Nocedal & Wright 2006, doi:10.1007/978-0-387-40065-5)


class Point(NamedTuple):
    """Where a descent stands: ``value`` is NaN where the solve failed."""

    x: np.ndarray
    value: float
    gradient: np.ndarray

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.value))


Evaluate = Callable[[np.ndarray], Point]


FIRST_ORDER: dict[str, Callable[[], optax.GradientTransformation]] = {
    "adam": optax.scale_by_adam,
    "lion": optax.scale_by_lion,
    "rmsprop": lambda: optax.scale_by_rms(0.9, 1e-8, eps_in_sqrt=False),
}


@cache
def _rule(word):
    """What begins and what updates an optimizer's memory."""
    rule = FIRST_ORDER[word]()
    return rule.init, jax.jit(rule.update)


class FirstOrder:
    """Steps of an optimizer of optax; from a failed one back to the best, with half the rate and no memory.

    It begins at ``start``, or goes on from what ``arrays`` gave.
    """

    def __init__(self, stage: Stage, start: Point, saved: Mapping[str, np.ndarray] | None = None):
        self._begin, self._update = _rule(stage.optimizer)
        self._rate = stage.learning_rate
        self._here = self._best = start
        self._memory = self._begin(start.x)
        self._scale = 1.0
        if saved is not None:
            self._here, self._best = (Point(*(saved[f"{kind}_{f}"][()] for f in Point._fields)) for kind in KEPT)
            self._scale = float(saved["scale"])
            leaves, tree = jax.tree.flatten(self._memory)
            self._memory = jax.tree.unflatten(tree, [saved[f"memory_{k}"] for k in range(len(leaves))])

    def step(self, evaluate: Evaluate) -> Point:
        """The next point that it visits."""
        here, rate = self._here, self._scale * self._rate
        direction, self._memory = self._update(here.gradient, self._memory)
        point = evaluate(here.x - rate * np.asarray(direction))
        if not point.is_finite:
            self._here, self._memory, self._scale = self._best, self._begin(self._best.x), self._scale / 2
            return point
        self._here = point
        if point.value < self._best.value:
            self._best = point
        return point

    def arrays(self) -> dict:
        """Its whole state."""
        leaves = {f"memory_{k}": np.asarray(leaf) for k, leaf in enumerate(jax.tree.leaves(self._memory))}
        points = {
            f"{kind}_{field}": np.asarray(value)
            for kind, point in zip(KEPT, (self._here, self._best), strict=True)
            for field, value in point._asdict().items()
        }
        return leaves | points | {"scale": np.float64(self._scale)}


def lbfgs(evaluate: Evaluate, start: Point) -> Iterator[Point]:
    """The points that L-BFGS accepts after ``start``; it ends where no lower value is found."""
    here, pairs = start, deque(maxlen=MEMORY)
    while here.gradient.any():
        direction = _direction(here.gradient, pairs)
        if not direction @ here.gradient < 0:
            pairs.clear()
            direction = -here.gradient
        first = 1.0 if pairs else min(1.0, 1.0 / max(np.abs(here.gradient).sum(), 1e-300))
        new = line_search(evaluate, here, direction, first)
        if new is None:
            if not pairs:
                return
            pairs.clear()
            continue
        step, change = new.x - here.x, new.gradient - here.gradient
        if step @ change > 1e-12 * np.linalg.norm(step) * np.linalg.norm(change):
            pairs.append((step, change))
        here = new
        yield here


def _direction(gradient, pairs):
    """Minus the gradient times the inverse Hessian that the pairs tell of (Liu & Nocedal 1989)."""
    q, weights = -gradient, []
    for step, change in reversed(pairs):
        weights.append(step @ q / (step @ change))
        q = q - weights[-1] * change
    if pairs:
        step, change = pairs[-1]
        q = q * (step @ change / (change @ change))
    for (step, change), weight in zip(pairs, reversed(weights), strict=True):
        q = q + step * (weight - change @ q / (step @ change))
    return q


def line_search(evaluate: Evaluate, here: Point, direction: np.ndarray, first: float) -> Point | None:
    """A point on a line by the strong Wolfe conditions, or the lowest point found; None if none is lower.

    A bracket shrinks by cubic interpolation, or by halving where a solve failed.
    """
    slope = float(direction @ here.gradient)
    low, high = (0.0, here, slope), None
    best, step = None, first
    for _ in range(TRIALS):
        point = evaluate(here.x + step * direction)
        if point.is_finite and point.value < (here if best is None else best).value:
            best = point
        new_slope = float(direction @ point.gradient)
        is_too_high = not point.value <= here.value + DECREASE * step * slope
        if is_too_high or point.value >= low[1].value and low[0] > 0:
            high = (step, point, new_slope)
        elif abs(new_slope) <= -CURVATURE * slope:
            return point
        else:
            if new_slope * ((high[0] if high else np.inf) - low[0]) >= 0:
                high = low
            low = (step, point, new_slope)
        step = 2 * step if high is None else _between(low, high)
        if high is not None and abs(high[0] - low[0]) <= 1e-12 * max(abs(step), 1e-300):
            break
    return best


def _between(low, high):
    """The minimum of the cubic through both ends of a bracket, kept off the ends; the middle where that fails."""
    (a, point_a, slope_a), (b, point_b, slope_b) = low, high
    middle, margin = 0.5 * (a + b), 0.1 * abs(b - a)
    if not point_b.is_finite:
        return a + 0.25 * (b - a)
    d1 = slope_a + slope_b - 3 * (point_a.value - point_b.value) / (a - b)
    square = d1 * d1 - slope_a * slope_b
    if not square >= 0:
        return middle
    d2 = np.copysign(np.sqrt(square), b - a)
    denominator = slope_b - slope_a + 2 * d2
    step = b - (b - a) * (slope_b + d2 - d1) / denominator if denominator else middle
    return float(np.clip(step, min(a, b) + margin, max(a, b) - margin)) if np.isfinite(step) else middle
