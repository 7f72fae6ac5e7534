"""The compiled loop of a solve: some steps at a time, the solver's whole state carried from one call to the next.

Everything that may change from solve to solve is a traced argument, so other values compile nothing.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from ...ir.program import Program
from .algorithms import METHODS
from .control import NOT_FINITE, RESULTS, make_controller, smallest_step
from .lower import lower_program
from .methods import make_solver
from .roots import Signs, make_conditions, make_search
from .stiffness import Stiffness, make_test, no_stiffness

Conditions = tuple[tuple[Program, int], ...]


class Arguments(NamedTuple):
    """What a solve is given; ``saveat`` and ``tstops`` are None or padded with infinity."""

    p: Any
    t0: Any
    t1: Any
    u0: Any
    dt: Any  # NaN: chosen by the method
    dtmax: Any
    rtol: Any
    atol: Any
    saveat: Any
    tstops: Any
    max_steps: Any
    patience: Any  # steps of the present size still to go that make stiffness matter; infinity: never
    t_end: Any  # of the whole solve, where t1 is the next stop of an event
    fresh: Any  # conditions (k,) that have just fired at t0
    quiet: Any  # the time until which these can't fire again


class State(NamedTuple):
    """Where a solve stands."""

    t: Any
    t_next: Any
    u: Any
    made_jump: Any
    solver: Any
    controller: Any
    result: Any
    steps: Any
    rejected: Any
    row: Any
    times: Any  # (rows,) and (rows, state): with saveat all rows, else those of the last call
    rows: Any
    stiffness: Stiffness
    signs: Signs
    fires: Any  # conditions (k,) that change their sign at t, where the loop then stops


class Loop(NamedTuple):
    """``start(arguments) -> State`` and ``advance(arguments, state, steps) -> State``, both compiled."""

    start: Callable
    advance: Callable


@lru_cache(maxsize=64)
def make_loop(
    program: Program, word: str, rows: int, has_saveat: bool, stops: int, conditions: Conditions = ()
) -> Loop:
    """The loop of one model and method, for ``rows`` saved rows and ``stops`` padded stop times.

    ``conditions`` are those of events, each with its direction.
    """
    method = METHODS[word]
    lowered = lower_program(program)
    terms = diffrax.ODETerm(lambda t, u, p: lowered(t, u, p)[0])

    def parts(arguments):
        solver = make_solver(method, arguments.rtol, arguments.atol)
        controller = make_controller(
            method, arguments.rtol, arguments.atol, arguments.dt, arguments.dtmax, arguments.tstops
        )
        return solver, controller

    def start(arguments):
        return _start(terms, *parts(arguments), arguments, rows, make_conditions(conditions))

    def advance(arguments, state, steps):
        step = _make_step(terms, *parts(arguments), arguments, has_saveat, test, search)
        last = jnp.minimum(state.steps + steps, arguments.max_steps)

        def is_running(state):
            running = (state.t < arguments.t1) & (state.result == RESULTS.successful) & ~state.stiffness.is_stiff
            running &= ~jnp.any(state.fires)
            has_room = True if has_saveat else state.row < rows
            return running & (state.steps < last) & has_room

        state = state if has_saveat else state._replace(row=jnp.zeros_like(state.row))
        return jax.lax.while_loop(is_running, step, state)

    test, search = make_test(word), make_search(conditions) if conditions else None
    return Loop(jax.jit(start), jax.jit(advance))


def _start(terms, solver, controller, arguments, rows, conditions):
    """The state before the first step; a right-hand side that isn't finite there is a failure at once."""
    t0, t1, u0, p = arguments.t0, arguments.t1, arguments.u0, arguments.p
    order = solver.error_order(terms)
    t_next, _ = controller.init(terms, t0, t1, u0, None, p, solver.func, order)
    dt = jnp.where(jnp.isnan(arguments.dt), t_next - t0, arguments.dt)
    dt = jnp.maximum(dt, 2 * smallest_step(t0))
    t_next, controller_state = controller.init(terms, t0, t1, u0, dt, p, solver.func, order)
    slope = solver.func(terms, t0, u0, p)
    is_finite = jnp.all(jnp.isfinite(jnp.concatenate([jnp.ravel(x) for x in jax.tree.leaves(slope)])))
    zero, no = jnp.zeros((), int), jnp.zeros((), bool)
    before = conditions(t0, u0, p)
    return State(
        t=t0,
        t_next=_clip(t0, t_next, t1),
        u=u0,
        made_jump=no,
        solver=solver.init(terms, t0, t_next, u0, p),
        controller=jax.tree.map(jnp.asarray, controller_state),
        result=RESULTS.where(is_finite, RESULTS.successful, NOT_FINITE),
        steps=zero,
        rejected=zero,
        row=zero,
        times=jnp.zeros(rows),
        rows=jnp.zeros((rows, u0.size)),
        stiffness=no_stiffness(),
        signs=Signs(before, (before == 0) | arguments.fresh),
        fires=jnp.zeros(before.shape, bool),
    )


def _clip(t, t_next, t1):
    """The end of the next step: not past the span, and not just before its end either."""
    return jnp.where(t_next > t1 - 1e-10 * (t1 - t), t1, t_next)


def _make_step(terms, solver, controller, arguments, has_saveat, test, search):
    """The body of the loop: try a step, keep it or not, save what it passed."""
    order = solver.error_order(terms)
    save = _save_times if has_saveat else _save_step

    def step(state):
        u, error, dense, solver_state, solver_result = solver.step(
            terms, state.t, state.t_next, state.u, arguments.p, state.solver, state.made_jump
        )
        keep, t, t_next, made_jump, controller_state, result = controller.adapt_step_size(
            state.t, state.t_next, state.u, u, arguments.p, error, order, state.controller
        )
        is_root_lost = (solver_result != RESULTS.successful) & jnp.all(jnp.isfinite(u))
        stuck_root = (result != RESULTS.successful) & is_root_lost
        result = RESULTS.where(stuck_root, solver_result, result)
        interpolant = solver.interpolation_cls(t0=state.t, t1=state.t_next, **dense)
        to_go = (arguments.t_end - state.t_next) / (state.t_next - state.t)
        if search is not None:
            state, u, t, signs, fires = _stop_at_root(search, state, keep, u, t, interpolant, arguments)
        else:
            signs, fires = state.signs, state.fires
        row, times, rows = save(arguments.saveat, state, keep, u, interpolant)
        t = jnp.minimum(t, arguments.t1)
        new = State(
            t=t,
            t_next=jnp.where(keep, _clip(t, t_next, arguments.t1), t_next),
            u=u,
            made_jump=jnp.asarray(made_jump),
            solver=solver_state,
            controller=controller_state,
            result=result,
            steps=state.steps + 1,
            rejected=state.rejected + ~keep,
            row=row,
            times=times,
            rows=rows,
            stiffness=test(state.stiffness, dense, keep, to_go, arguments.patience),
            signs=signs,
            fires=fires,
        )
        kept = {name: _select(keep, getattr(new, name), getattr(state, name)) for name in ("u", "made_jump", "solver")}
        return new._replace(**kept)

    return step


def _stop_at_root(search, state, keep, u, t, interpolant, arguments):
    """The step cut at its first root, if it is kept and has one, and what fires there."""
    moment, fires, signs = search(
        state.signs, state.t, state.t_next, u, arguments.p, interpolant.evaluate, arguments.quiet
    )
    fires = fires & keep
    is_cut = jnp.any(fires) & (moment < state.t_next)
    u = jnp.where(is_cut, interpolant.evaluate(moment), u)
    signs = _select(keep, signs, state.signs)
    return state._replace(t_next=jnp.where(is_cut, moment, state.t_next)), u, jnp.where(is_cut, moment, t), signs, fires


def _select(keep, new, old):
    return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)


def _save_step(saveat, state, keep, u, interpolant):
    """A row for each step that is kept; a rejected one is overwritten."""
    times = state.times.at[state.row].set(state.t_next)
    return state.row + keep, times, state.rows.at[state.row].set(u)


def _save_times(saveat, state, keep, u, interpolant):
    """Rows of all save times in the step, read off its interpolant."""

    def is_passed(carry):
        row, _ = carry
        return keep & (row < len(saveat)) & (saveat[row] <= state.t_next)

    def save(carry):
        row, rows = carry
        value = jnp.where(saveat[row] == state.t_next, u, interpolant.evaluate(saveat[row]))
        value = jnp.where(saveat[row] <= state.t, state.u, value)
        return row + 1, rows.at[row].set(value)

    row, rows = jax.lax.while_loop(is_passed, save, (state.row, state.rows))
    return row, state.times, rows
