"""The compiled objective: a loss of a solution's distance to data, and its gradient."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ...errors import UnsupportedByEngine
from ...fitting.stages import Stage
from ...ir.evaluate import evaluate_program
from ...ir.program import Program
from ...requests import ObjectiveRequest, SumRequest
from ..base import AbstractObjective, Status, is_success
from .algorithms import METHODS, sensitivities_of
from .control import RESULTS, make_controller
from .lower import lower_program
from .methods import make_solver
from .precision import double_precision, place
from .solve import pad_stops, solve_request

MOST_STORED = 2**22  # numbers in the steps of a reversed solve; where they would be more, some are computed again
FEW = 12  # elements of x up to which a tangent for each costs less than a reversed solve, and half its compilation


class Data(NamedTuple):
    """What a loss is compared with and solved by; all traced, so that other values compile nothing."""

    constants: Any  # of the parametrization
    t0: Any
    t1: Any
    saveat: Any
    values: Any
    weights: Any
    rtol: Any
    atol: Any
    dt: Any  # None: chosen by the method
    dtmax: Any
    tstops: Any


class Key(NamedTuple):
    """What a compiled loss depends on."""

    program: Program
    parametrization: Program  # its constants are data, so these are zero here
    algorithm: str
    sensitivity: str
    max_steps: int
    observe: Program | None = None
    sees_data: bool = False
    whole: Program | None = None


@lru_cache(maxsize=64)
def make_loss(key: Key) -> Callable:
    """The function ``(x, data) -> loss``, NaN where the solve fails; derivatives as ``key.sensitivity`` says."""
    method = METHODS[key.algorithm]
    lowered, parametrization = lower_program(key.program), lower_program(key.parametrization)
    terms = diffrax.ODETerm(lambda t, u, p: lowered(t, u, p)[0])
    adjoint = _make_adjoint(key)
    compare = _make_comparison(key)

    def loss(x, data):
        u0, p = parametrization(x, constants=data.constants)
        solution = diffrax.diffeqsolve(
            terms,
            make_solver(method, data.rtol, data.atol),
            data.t0,
            data.t1,
            data.dt,
            u0,
            p,
            saveat=diffrax.SaveAt(ts=jnp.minimum(data.saveat, data.t1)),
            stepsize_controller=make_controller(method, data.rtol, data.atol, data.dt, data.dtmax, data.tstops),
            adjoint=adjoint,
            max_steps=key.max_steps,
            throw=False,
        )
        value = compare(solution.ys, p, data)
        return jnp.where(solution.result == RESULTS.successful, value, jnp.nan)

    return loss


def _make_comparison(key):
    """The function ``(u (time, state), p, data) -> loss`` of a solution."""
    observe = None if key.observe is None else make_observe(key.observe)
    whole = None if key.whole is None else lower_program(key.whole)

    def compare(u, p, data):
        has_datum = data.weights != 0
        rows = u if observe is None or whole is not None else _fill(u, has_datum)  # a whole loss sees every row
        times = jnp.minimum(data.saveat, data.t1)
        seen = jnp.concatenate((rows, data.values), axis=1) if key.sees_data else rows
        measured = seen if observe is None else observe(times, seen, p)
        if whole is not None:
            return whole(data.t0, jnp.concatenate((measured.ravel(), data.values.ravel())), p)[0][0]
        if key.sees_data:
            return jnp.sum(data.weights * jnp.where(has_datum, measured, 0.0))
        return jnp.sum(data.weights * jnp.where(has_datum, measured - data.values, 0.0) ** 2)

    return compare


def _fill(u, has_datum):
    """States with another row where a row has no datum: observables may have no finite slope there."""
    is_seen = jnp.any(has_datum, axis=1)
    return jnp.where(is_seen[:, None], u, u[jnp.argmax(is_seen)])


def make_observe(program: Program, has_rows: bool = False) -> Callable:
    """The function ``(t (time,), u (time, state), p) -> y (time, observable)``; ``p`` is one, or ``has_rows``."""
    lowered = lower_program(program)
    return jax.vmap(lambda t, u, p: lowered(t, u, p)[0], in_axes=(0, 0, 0 if has_rows else None))


@lru_cache(maxsize=64)
def compile_observe(program: Program, has_rows: bool) -> Callable:
    """The same, compiled."""
    return jax.jit(make_observe(program, has_rows))


def _make_adjoint(key):
    if key.sensitivity == "forward":
        return diffrax.ForwardMode()
    if key.sensitivity == "backsolve":
        return diffrax.BacksolveAdjoint()
    size = max(key.program.inputs[1].shape[0], 1)
    if key.max_steps * size <= MOST_STORED:
        return diffrax.RecursiveCheckpointAdjoint(checkpoints=key.max_steps)  # every step kept, nothing computed twice
    kept = min(int(np.sqrt(2.0 * key.max_steps)), 4 * MOST_STORED // size)
    return diffrax.RecursiveCheckpointAdjoint(checkpoints=max(8, kept))


def make_gradient(key: Key) -> Callable:
    """The function ``(x, data) -> (loss, gradient)``."""
    loss = make_loss(key)
    if key.sensitivity != "forward":
        return jax.value_and_grad(loss)

    def value_and_gradient(x, data):
        def along(direction):
            return jax.jvp(lambda x: loss(x, data), (x,), (direction,))

        return jax.vmap(along, out_axes=(None, 0))(jnp.eye(x.size))

    return value_and_gradient


@lru_cache(maxsize=64)
def compile_objective(key: Key) -> tuple[Callable, Callable]:
    """The loss, and the loss with its gradient, compiled."""
    return jax.jit(make_loss(key)), jax.jit(make_gradient(key))


class DiffraxObjective(AbstractObjective):
    """An objective of the embedded engine.

    What ``auto`` becomes is tried at ``x``. Of a fit's stage: the number of ``rows`` used and the ``factor`` of their
    weights. All data are padded to ``length`` rows, so that objectives of one length share what is compiled.
    """

    def __init__(
        self,
        request: ObjectiveRequest,
        x: np.ndarray | None = None,
        rows: int | None = None,
        factor: float = 1.0,
        least_steps: int = 2048,
        length: int = 0,
    ):
        rows = len(request.solve.saveat) if rows is None else rows
        probe = _probe(request, request.x0 if x is None else x, rows)
        self.algorithm, why_algorithm = probe.algorithm, probe.reason
        self.sensitivity, why_sensitivity = choose_sensitivity(request, self.algorithm)
        self.reason = "; ".join(filter(None, (why_algorithm, why_sensitivity)))
        self.most_steps = most_steps(
            request.solve.max_steps, probe.statistics["steps"] + probe.statistics["rejected"], least_steps
        )
        structure, solve = without_constants(request.parametrization), request.solve
        words = self.algorithm, self.sensitivity, self.most_steps
        self.key = Key(solve.program, structure, *words, request.observe, request.sees_data, request.whole)
        data = stage_data(make_data(request, self.algorithm, length), rows, factor, request.whole is not None)
        self.device, self.data = solve.device, place(data, solve.device)
        self._value, self._value_and_gradient = compile_objective(self.key)
        self._n_path = request.n_path

    def value(self, x: np.ndarray) -> float:
        with double_precision(self.device):
            return float(self._value(np.asarray(x, dtype=np.float64), self.data))

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        with double_precision(self.device):
            value, gradient = self._value_and_gradient(np.asarray(x, dtype=np.float64), self.data)
        return if_finite(float(value), np.array(gradient))

    def path_values(self, x: np.ndarray) -> list[float]:
        with double_precision(self.device):
            return [
                float(self._value(x, self.data._replace(weights=only_column(self.data.weights, k))))
                for k in range(-self._n_path, 0)
            ]

    def traced(self, x):
        return self._value_and_gradient(x, self.data)

    def nearby_values(self, x: np.ndarray, points: np.ndarray) -> np.ndarray:
        return np.array([self.value_and_gradient(point)[0] for point in points])  # compiles nothing more


def only_column(weights: np.ndarray, column: int) -> np.ndarray:
    """Weights ``(time, measured)`` of one column."""
    kept = np.zeros_like(weights)
    kept[:, column] = weights[:, column]
    return kept


def if_finite(value, gradient):
    """Both, or both NaN if either is not finite."""
    if np.isfinite(value) and np.isfinite(gradient).all():
        return value, gradient
    return np.nan, np.full_like(gradient, np.nan)


def without_constants(program: Program) -> Program:
    """The same program with zeros for constants: what compiled code is made of where these are arguments."""
    return replace(program, constants=tuple(map(np.zeros_like, program.constants)))


def stage_data(data: Data, rows: int, factor: float, is_whole: bool) -> Data:
    """The data of a stage of a fit: solved to its last row only, rows beyond it without weight, or missing."""
    is_used = (np.arange(len(data.saveat)) < rows)[:, None]
    horizon = np.maximum(data.saveat[rows - 1], np.nextafter(data.t0, np.inf))
    values = np.where(is_used, data.values, np.nan) if is_whole else data.values
    return data._replace(t1=horizon, values=values, weights=np.where(is_used, factor * data.weights, 0.0))


MOST_LIMITED = 10.0  # steps limited by stability that a gradient may pass


def most_steps(limit: int, probed: int, least: int) -> int:
    """Steps that a differentiated solve may take: many more than at the start, in powers of two; then it has failed."""
    return min(limit, max(least, 1 << (16 * probed).bit_length()))


def _probe(request, x, rows):
    """A solve at ``x``, to see which method ``auto`` becomes and how many steps it takes."""
    u0, p = evaluate_program(request.parametrization, x)
    solve = replace(request.solve, u0=u0, p=p, saveat=None, progress=False)  # one compilation for all horizons
    last = request.solve.saveat[rows - 1]
    if last > solve.t_span[0]:
        solve = replace(solve, t_span=(solve.t_span[0], last))
    # cotangents grow in steps that stability limits, where the states show nothing yet: no such step is too few
    probe = solve_request(solve, MOST_LIMITED)
    if probe.reason and not is_success(probe.status[0]):
        return replace(probe, reason=f"{probe.reason} (the probe ended early: {probe.status[0].message})")
    return probe


def why_failed(request: SumRequest, x: np.ndarray, stage: Stage, max_steps: int) -> Status:
    """How the first solve at ``x`` ends that a loss rejects; FAILED if only the gradient does."""
    for part, picks, rows in zip(request.parts, request.picks, stage.rows, strict=True):
        if rows:
            with double_precision(request.device):
                probe = _probe(part, x[picks], rows)
            if not is_success(probe.status[0]):
                return probe.status[0]
            if probe.statistics["steps"] + probe.statistics["rejected"] > max_steps:
                return Status.MAX_STEPS
    return Status.FAILED


def choose_sensitivity(request: ObjectiveRequest, algorithm: str) -> tuple[str, str]:
    """What ``auto`` becomes, and why."""
    if request.sensitivity != "auto" and request.sensitivity not in sensitivities_of(algorithm):
        raise UnsupportedByEngine(
            "sensitivity 'backsolve' runs the solution backwards, which is unstable for a stiff problem "
            f"(algorithm {algorithm!r}); use 'checkpointed' or 'forward'"
        )
    if request.sensitivity != "auto":
        return request.sensitivity, ""
    size = request.x0.size
    if size <= FEW:
        return "forward", f"sensitivity forward, since x has {size} elements ({FEW} at most)"
    return "checkpointed", f"sensitivity checkpointed, since x has {size} elements (more than {FEW})"


def make_data(request: ObjectiveRequest, algorithm: str, length: int = 0) -> Data:
    """The request's numbers as the compiled functions take them; rows repeated without weight up to a length."""
    solve = request.solve
    t0, t1 = map(np.float64, solve.t_span)
    more = max(length - len(solve.saveat), 0) if request.whole is None else 0  # such a loss is of one length
    return Data(
        constants=request.parametrization.constants,
        t0=t0,
        t1=t1,
        saveat=np.pad(np.asarray(solve.saveat, dtype=np.float64), (0, more), mode="edge"),
        values=np.pad(np.asarray(request.values, dtype=np.float64), ((0, more), (0, 0)), mode="edge"),
        weights=np.pad(np.asarray(request.weights, dtype=np.float64), ((0, more), (0, 0))),
        rtol=np.float64(solve.rtol),
        atol=np.float64(solve.atol),
        dt=None if solve.dt is None else np.float64(solve.dt),
        dtmax=np.float64(np.inf if solve.dtmax is None else solve.dtmax),
        tstops=pad_stops(solve.tstops, t0, t1),
    )
