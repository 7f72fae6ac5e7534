"""How far a loss is off when the states that it compares with data are."""

from dataclasses import replace

import numpy as np

from ..engines.base import AbstractEngine, AbstractObjective, is_success
from ..ir.evaluate import evaluate_program
from ..requests import ObjectiveRequest

DRAWS = 4  # of errors in the states
SPREAD = 3.0  # how much larger than in these draws an error may be


class SquareErrors:
    """Errors of a sum of squares, from the size of the data."""

    def __init__(self, request: ObjectiveRequest):
        weights = np.abs(request.weights)
        self._measured = float(np.sqrt(np.sum(weights * request.values**2)))
        self._unit = float(np.sqrt(np.sum(weights)))

    def of_values(self, losses: np.ndarray, relative: float, absolute: float) -> float:
        """Of losses, where all states are off by so much, at random."""
        size, error = max(np.abs(losses)), self.of_states(relative, absolute)
        return 2 * np.sqrt(size) * error + error**2 + 1e-15 * size

    def of_states(self, relative: float, absolute: float) -> float:
        """Of all measured quantities together, in the measure of the loss."""
        return relative * self._measured + absolute * self._unit


class SampledErrors:
    """Errors of any other loss: it is computed for states with errors drawn at random."""

    def __init__(self, engine: AbstractEngine, compiled: AbstractObjective, request: ObjectiveRequest, x: np.ndarray):
        u0, p = evaluate_program(request.parametrization, x)
        solve = replace(request.solve, u0=u0, p=np.asarray(p), algorithm=compiled.algorithm)
        raw = engine.solve(solve)
        self._request, self._p = request, np.asarray(p)
        self._u = raw.u[0] if is_success(raw.status[0]) and len(raw.t) == len(solve.saveat) else None
        self._signs = np.random.default_rng(x.size).choice([-1.0, 1.0], (DRAWS, len(solve.saveat), len(u0)))

    def of_values(self, losses: np.ndarray, relative: float, absolute: float) -> float:
        """Of losses, where all states are off by so much, at random."""
        size = max(np.abs(losses))
        if self._u is None:
            return size  # nothing is known, so nothing is claimed
        return SPREAD * max(abs(change) for change, _ in self._changes(relative, absolute)) + 1e-15 * size

    def of_states(self, relative: float, absolute: float) -> float:
        """The square root of how much the loss bends over such errors."""
        if self._u is None:
            return 0.0
        return float(np.sqrt(max(abs(bend) for _, bend in self._changes(relative, absolute))))

    def _changes(self, relative, absolute):
        """Slopes and bends of the loss over each draw."""
        here = loss_of_states(self._request, self._u, self._p)
        errors = self._signs * (relative * np.abs(self._u) + absolute)
        for error in errors:
            above, below = (loss_of_states(self._request, self._u + sign * error, self._p) for sign in (1, -1))
            yield (above - below) / 2, above + below - 2 * here


def loss_of_states(request: ObjectiveRequest, u: np.ndarray, p: np.ndarray) -> float:
    """The value of an objective that is no sum of squares, for states ``(time, state)``."""
    measured = []
    for t, state, values in zip(request.solve.saveat, u, request.values, strict=True):
        z = np.concatenate([state, values]) if request.sees_data else state
        measured.append(z if request.observe is None else evaluate_program(request.observe, t, z, p)[0])
    y = np.array(measured)
    if request.whole is not None:
        z = np.concatenate([y.ravel(), request.values.ravel()])
        return float(evaluate_program(request.whole, request.solve.t_span[0], z, p)[0][0])
    return float(np.sum(np.where(request.weights != 0, request.weights * y, 0.0)))
