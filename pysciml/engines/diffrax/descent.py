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
import scipy.optimize

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

    def __init__(
        self,
        stage: Stage,
        start: Point,
        saved: Mapping[str, np.ndarray] | None = None,
        decay: np.ndarray | None = None,
    ):
        self._begin, self._update = _rule(stage.optimizer)
        self._rates, self._clip, self._taken = stage.rates, stage.clip, 0
        self._decay = decay if decay is not None and decay.size else 0.0
        self._here = self._best = start
        self._memory = self._begin(start.x)
        self._scale = 1.0
        if saved is not None:
            self._here, self._best = (Point(*(saved[f"{kind}_{f}"][()] for f in Point._fields)) for kind in KEPT)
            self._scale, self._taken = float(saved["scale"]), int(saved["taken"])
            leaves, tree = jax.tree.flatten(self._memory)
            self._memory = jax.tree.unflatten(tree, [saved[f"memory_{k}"] for k in range(len(leaves))])

    def step(self, evaluate: Evaluate, is_whole: bool = True) -> Point:
        """The next point that it visits; it may be the best if its value is that of the ``whole`` loss."""
        here, rate = self._here, self._scale * self._rates[self._taken]
        length = np.linalg.norm(here.gradient)
        gradient = here.gradient * (self._clip / length) if length > self._clip else here.gradient
        direction, self._memory = self._update(gradient, self._memory)
        point = evaluate(here.x - rate * np.asarray(direction) - rate * self._decay * here.x)
        self._taken += 1
        if not point.is_finite:
            self._here, self._memory, self._scale = self._best, self._begin(self._best.x), self._scale / 2
            return point
        self._here = point
        if is_whole and point.value < self._best.value:
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
        return leaves | points | {"scale": self._scale, "taken": self._taken}


def lbfgs(evaluate: Evaluate, start: Point) -> Iterator[Point]:
    """The points that L-BFGS accepts after ``start``; it ends where no lower value is found."""
    return _quasi_newton(evaluate, start, Pairs())


def bfgs(evaluate: Evaluate, start: Point) -> Iterator[Point]:
    """The same of BFGS, its matrix kept by SciPy."""
    return _quasi_newton(evaluate, start, Matrix())


QUASI_NEWTON = {"lbfgs": lbfgs, "bfgs": bfgs}


def _quasi_newton(evaluate, here, memory):
    while here.gradient.any():
        direction = memory.direction(here.gradient)
        if not direction @ here.gradient < 0:
            memory.clear()
            direction = -here.gradient
        first = min(1.0, 1.0 / max(np.abs(here.gradient).sum(), 1e-300)) if memory.is_empty else 1.0
        new = line_search(evaluate, here, direction, first)
        if new is None:
            if memory.is_empty:
                return
            memory.clear()
            continue
        step, change = new.x - here.x, new.gradient - here.gradient
        if step @ change > 1e-12 * np.linalg.norm(step) * np.linalg.norm(change):
            memory.add(step, change)
        here = new
        yield here


class Pairs:
    """What L-BFGS knows of the Hessian: the last steps, and how the gradient changed."""

    def __init__(self):
        self._pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=MEMORY)
        self.is_empty = True

    def clear(self) -> None:
        """Forget everything."""
        self._pairs.clear()
        self.is_empty = True

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        """One more pair."""
        self._pairs.append((step, change))
        self.is_empty = False

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """Minus the inverse Hessian times a gradient."""
        return _direction(gradient, self._pairs)


class Matrix:
    """What BFGS knows: the inverse Hessian as a matrix."""

    def __init__(self):
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._inverse, self.is_empty = scipy.optimize.BFGS("skip_update"), True

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        """One more step, and how the gradient changed."""
        if self.is_empty:
            self._inverse.initialize(step.size, "inv_hess")
            self.is_empty = False
        self._inverse.update(step, change)

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """Minus the inverse Hessian times a gradient."""
        return -gradient if self.is_empty else -self._inverse.dot(gradient)


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
