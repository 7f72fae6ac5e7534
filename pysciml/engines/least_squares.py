"""Stages by SciPy's least squares on residuals and their Jacobian, which any engine computes with tangents."""

from dataclasses import dataclass, replace

import numpy as np

from ..fitting.stages import Stage
from ..fitting.tangents import with_tangents
from ..ir.derivatives import jvp
from ..ir.evaluate import evaluate_program
from ..ir.program import Program
from ..requests import FitRequest, ObjectiveRequest, SolveRequest
from .base import AbstractEngine, Status, is_success
from .trials import StageRun, Start, Trials, Watch, used_parts

TOLERANCE = 1e-12  # of cost, step and gradient, relative: where the loop ends


@dataclass(frozen=True, eq=False)
class Tangents:
    """One objective with a tangent for each initial value and parameter that x moves, of the size of these."""

    request: ObjectiveRequest
    rows: int
    factor: float
    u_moved: np.ndarray
    p_moved: np.ndarray
    u_size: np.ndarray
    p_size: np.ndarray
    slopes: Program  # of the parametrization along a direction
    solve: SolveRequest
    observe: Program | None

    def at(self, engine: AbstractEngine, x: np.ndarray) -> tuple[Status, np.ndarray, np.ndarray]:
        """How the solve ended, weighted residuals ``(datum,)`` and their Jacobian ``(datum, k)``."""
        u0, p = evaluate_program(self.request.parametrization, x)
        n, lanes = u0.size, self.u_moved.size + self.p_moved.size
        starts = np.zeros((lanes, n))
        starts[np.arange(self.u_moved.size), self.u_moved] = self.u_size
        raw = engine.solve(replace(self.solve, u0=np.concatenate([u0, starts.ravel()]), p=p))
        weights = self.factor * self.request.weights[: self.rows]
        has_datum = weights != 0
        if not is_success(raw.status[0]) or len(raw.t) < self.rows:
            failed = np.full((np.count_nonzero(has_datum), 1 + x.size), np.nan)
            return raw.status[0], failed[:, 0], failed[:, 1:]
        found = raw.u[0] if self.observe is None else engine.observe(self.observe, raw.t, raw.u[0], p)
        size = weights.shape[1]
        slopes = found[:, size:].reshape(self.rows, lanes, size)
        by_x = np.array([np.concatenate(evaluate_program(self.slopes, x, step)) for step in np.eye(x.size)])
        moved = by_x[:, np.concatenate([self.u_moved, n + self.p_moved])] / np.concatenate([self.u_size, self.p_size])
        jacobian = np.einsum("tls,kl->tsk", slopes, moved)
        root = np.sqrt(weights[has_datum])
        residuals = root * (found[:, :size] - self.request.values[: self.rows])[has_datum]
        return raw.status[0], residuals, root[:, None] * jacobian[has_datum]


def make_tangents(request: ObjectiveRequest, rows: int, factor: float) -> Tangents:
    """An objective over its first rows, with tangents."""
    x, slopes = request.x0, jvp(request.parametrization, ["x"])
    u0, p = evaluate_program(request.parametrization, x)
    near = x + 1e-3 * np.where(x != 0, np.abs(x), 1.0)  # what has a slope of exactly 0 at x has one there
    steps = [evaluate_program(slopes, point, step) for point in (x, near) for step in np.eye(x.size)]
    u_moved, p_moved = (np.flatnonzero(np.any([step[i] != 0 for step in steps], axis=0)) for i in (0, 1))
    u_size, p_size = (np.where(v != 0, np.abs(v), 1.0) for v in (u0[u_moved], p[p_moved]))
    seeds = np.zeros((u_moved.size + p_moved.size, p.size))
    seeds[u_moved.size + np.arange(p_moved.size), p_moved] = p_size
    solve = request.solve
    last = float(solve.saveat[rows - 1])
    span = (solve.t_span[0], last if last > solve.t_span[0] else solve.t_span[1])
    wide = replace(solve, program=with_tangents(solve.program, seeds), saveat=solve.saveat[:rows], t_span=span)
    observe = None if request.observe is None else with_tangents(request.observe, seeds)
    return Tangents(request, rows, factor, u_moved, p_moved, u_size, p_size, slopes, wide, observe)


def run_least_squares(
    engine: AbstractEngine, request: FitRequest, stage: Stage, start: Start, watch: Watch | None
) -> StageRun:
    """A stage whose iterations are trials; its journal holds the residuals and the Jacobian of each."""
    from scipy.optimize import least_squares

    parts, own = used_parts(request.objective, stage, start.x)
    tangents = [make_tangents(part, rows, own.factor) for part, rows in zip(parts.parts, own.rows, strict=True)]
    n_data = sum(np.count_nonzero(part.weights[:rows]) for part, rows in zip(parts.parts, own.rows, strict=True))
    k = start.x.size
    trials = Trials(stage, start, watch, 2 + n_data * (1 + k))

    def compute(x):
        jacobian, residuals, first = np.zeros((n_data, k)), [], 0
        for part, picks in zip(tangents, parts.picks, strict=True):
            status, found, slopes = part.at(engine, x[picks])
            if not is_success(status):
                return np.concatenate([[status.code], np.full(1 + n_data * (1 + k), np.nan)])
            jacobian[first : first + found.size, picks] = slopes
            residuals.append(found)
            first += found.size
        r = np.concatenate(residuals)
        return np.concatenate([[Status.FAILED.code, r @ r], r, jacobian.ravel()])

    def ask(x):
        answer = trials.ask(x, lambda: compute(x))
        return answer[1], answer[2 : 2 + n_data], answer[2 + n_data :].reshape(n_data, k)

    first = []  # the answer at the last trial, whose Jacobian is asked for if it is accepted

    def residuals_at(x):
        value, residuals, jacobian = ask(x)
        is_start = not first
        first[:] = [x.copy(), jacobian]
        if not is_start:
            trials.note(float(value), float(2 * np.linalg.norm(jacobian.T @ residuals)))
        return residuals

    def jacobian_at(x):
        return first[1] if np.array_equal(first[0], x) else ask(x)[2]

    def loop():
        if not np.isfinite(ask(start.x)[0]):
            return
        tolerances = dict.fromkeys(("ftol", "xtol", "gtol"), TOLERANCE)
        least_squares(residuals_at, start.x, jacobian_at, method="trf", max_nfev=stage.steps + 1, **tolerances)

    with np.errstate(over="ignore", invalid="ignore"):  # where a trial is far off
        return trials.run(loop, (request.objective.parts[0].solve.algorithm, "forward"))
