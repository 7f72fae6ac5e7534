"""The compiled objective: a weighted sum of squares of a solution's distance to data, and its gradient."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ...errors import ProblemError
from ...ir.evaluate import evaluate_program
from ...ir.program import Program
from ...requests import ObjectiveRequest
from ..base import AbstractObjective, is_success
from .algorithms import METHODS
from .control import RESULTS, make_controller
from .lower import lower_program
from .methods import make_solver
from .precision import double_precision
from .solve import pad_stops, solve_request

MOST_KEPT = 2**25  # numbers that the checkpoints of a reversed solve may take


class Data(NamedTuple):
    """What a loss is compared with and solved by; all traced, so that other values compile nothing."""

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
    parametrization: Program
    algorithm: str
    sensitivity: str
    max_steps: int


@lru_cache(maxsize=64)
def make_loss(key: Key) -> Callable:
    """The function ``(x, data) -> loss``, NaN where the solve fails; derivatives as ``key.sensitivity`` says."""
    method = METHODS[key.algorithm]
    lowered, parametrization = lower_program(key.program), lower_program(key.parametrization)
    terms = diffrax.ODETerm(lambda t, u, p: lowered(t, u, p)[0])
    adjoint = _make_adjoint(key)

    def loss(x, data):
        u0, p = parametrization(x)
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
        has_datum = data.weights > 0
        residual = jnp.where(has_datum, solution.ys - data.values, 0.0)
        return jnp.where(solution.result == RESULTS.successful, jnp.sum(data.weights * residual**2), jnp.nan)

    return loss


def _make_adjoint(key):
    if key.sensitivity == "forward":
        return diffrax.ForwardMode()
    if key.sensitivity == "backsolve":
        return diffrax.BacksolveAdjoint()
    size = max(key.program.inputs[1].shape[0], 1)
    default = int(np.sqrt(2.0 * key.max_steps))
    return diffrax.RecursiveCheckpointAdjoint(checkpoints=max(8, min(default, MOST_KEPT // size)))


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
    """An objective of the embedded engine."""

    def __init__(self, request: ObjectiveRequest):
        self.algorithm, why_algorithm = choose_algorithm(request)
        self.sensitivity, why_sensitivity = choose_sensitivity(request, self.algorithm)
        self.reason = "; ".join(filter(None, (why_algorithm, why_sensitivity)))
        solve = request.solve
        self.key = Key(solve.program, request.parametrization, self.algorithm, self.sensitivity, solve.max_steps)
        self.data = make_data(request, self.algorithm)
        self._value, self._value_and_gradient = compile_objective(self.key)

    def value(self, x: np.ndarray) -> float:
        with double_precision():
            return float(self._value(np.asarray(x, dtype=np.float64), self.data))

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        with double_precision():
            value, gradient = self._value_and_gradient(np.asarray(x, dtype=np.float64), self.data)
        value, gradient = float(value), np.array(gradient)
        return value, gradient if np.isfinite(value) else np.full_like(gradient, np.nan)


def choose_algorithm(request: ObjectiveRequest) -> tuple[str, str]:
    """The one method that ``auto`` becomes, by a probe solve at the start, and why."""
    solve = request.solve
    if solve.algorithm != "auto":
        return solve.algorithm, ""
    u0, p = evaluate_program(request.parametrization, request.x0)
    fields = {**vars(solve), "u0": u0, "p": p, "progress": False}
    probe = solve_request(type(solve)(**fields))
    failed = "" if is_success(probe.status[0]) else f" (the probe ended early: {probe.status[0].message})"
    return probe.algorithm, probe.reason + failed


def choose_sensitivity(request: ObjectiveRequest, algorithm: str) -> tuple[str, str]:
    """What ``auto`` becomes, and why."""
    if request.sensitivity != "auto":
        return request.sensitivity, ""
    return "checkpointed", "auto: checkpointed"


def make_data(request: ObjectiveRequest, algorithm: str) -> Data:
    """The request's numbers as the compiled functions take them."""
    solve = request.solve
    if solve.dt is None and not METHODS[algorithm].is_adaptive:
        raise ProblemError(f"algorithm {algorithm!r} has no step size control: give its step as dt=")
    t0, t1 = map(np.float64, solve.t_span)
    return Data(
        t0=t0,
        t1=t1,
        saveat=np.asarray(solve.saveat, dtype=np.float64),
        values=np.asarray(request.values, dtype=np.float64),
        weights=np.asarray(request.weights, dtype=np.float64),
        rtol=np.float64(solve.rtol),
        atol=np.float64(solve.atol),
        dt=None if solve.dt is None else np.float64(solve.dt),
        dtmax=np.float64(np.inf if solve.dtmax is None else solve.dtmax),
        tstops=pad_stops(solve.tstops, t0, t1),
    )
