"""Changes of sign within a step: found at several looks at its interpolant, and located to the last bits of time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...ir.program import Program
from .lower import lower_program

LOOKS = np.array([0.01, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9])  # fractions of a step, and its end
NEAR = 16 * np.finfo(np.float64).eps


class Signs(NamedTuple):
    """Conditions ``(k,)`` at the start of a step; a fresh one, zero there but for rounding, counts from later on."""

    before: Any
    is_fresh: Any


def make_conditions(conditions: tuple[tuple[Program, int], ...]) -> Callable:
    """The function ``(t, u, p) -> (k,)`` of all conditions."""
    functions = [lower_program(program) for program, _ in conditions]

    def values(t, u, p):
        return jnp.stack([function(t, u, p)[0] for function in functions]) if functions else jnp.zeros(0)

    return values


def make_search(conditions: tuple[tuple[Program, int], ...]) -> Callable:
    """The function ``(signs, t0, t1, u1, p, evaluate, quiet) -> (moment, fires (k,), signs at t1)`` of a step.

    ``moment`` is the first time at which something fires, ``t1`` if nothing does. Fresh conditions count from the first
    look on that is later than ``quiet``.
    """
    values = make_conditions(conditions)
    directions = np.array([direction for _, direction in conditions])
    functions = [lower_program(program) for program, _ in conditions]

    def search(signs, t0, t1, u1, p, evaluate, quiet):
        times = jnp.append(t0 + LOOKS * (t1 - t0), t1)
        states = jnp.concatenate([jax.vmap(evaluate)(times[:-1]), u1[None]])
        right = jax.vmap(values, (0, 0, None))(times, states, p)  # (look, condition)
        left = jnp.concatenate([signs.before[None], right[:-1]])
        crosses = _is_crossing(left, right) & ((directions == 0) | (directions * left < 0))
        is_early = (jnp.arange(len(times)) == 0) | (times <= quiet)
        crosses = crosses & ~(is_early[:, None] & signs.is_fresh)
        found, first = jnp.any(crosses, axis=0), jnp.argmax(crosses, axis=0)
        brackets = jnp.append(t0, times[:-1])[first], times[first]
        start = jnp.take_along_axis(left, first[None], axis=0)[0]
        roots = jax.lax.cond(
            jnp.any(found),
            lambda: _bisect(*brackets, start, p, t1, u1, evaluate),
            lambda: brackets[1],
        )
        roots = jnp.where(found, roots, jnp.inf)
        near = NEAR * jnp.maximum(jnp.abs(t0), jnp.abs(t1))
        moment = jnp.min(roots, initial=jnp.inf)
        moment = jnp.where(moment + near >= t1, t1, moment)
        return moment, roots <= moment + near, Signs(right[-1], signs.is_fresh & (t1 <= quiet))

    def _bisect(low, high, start, p, t1, u1, evaluate):
        """The last times before the changes of sign; where a condition is zero exactly, that time."""

        def at(times):
            def one(function, t):
                return function(t, jnp.where(t == t1, u1, evaluate(t)), p)[0]

            return jnp.stack([one(function, times[k]) for k, function in enumerate(functions)])

        def is_open(bracket):
            low, high = bracket
            middle = low + (high - low) / 2
            return jnp.any((low < middle) & (middle < high))

        def halve(bracket):
            low, high = bracket
            middle = low + (high - low) / 2
            crossed = _is_crossing(start, at(middle))
            return jnp.where(crossed, low, middle), jnp.where(crossed, middle, high)

        low, high = jax.lax.while_loop(is_open, halve, (low, high))
        return jnp.where(at(high) == 0, high, low)

    return search


def _is_crossing(left, right):
    return ((left < 0) & (right >= 0)) | ((left > 0) & (right <= 0))
