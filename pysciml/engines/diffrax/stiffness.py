"""Stiffness: how an explicit method notices, while it runs, that stability and not accuracy limits its steps.

The last two stages of Tsit5, DP5 and DP8 lie at the end of the step, so the quotient of the differences of their slopes
and of their arguments estimates the spectral radius of the Jacobian (Hairer & Wanner 1996, Solving Ordinary
Differential Equations II, section IV.2, doi:10.1007/978-3-642-05221-7). A step speaks for stiffness if its size times
that radius is near the boundary of stability; or if it is within reach of it and the solution itself hardly bends, as
where a forcing keeps the error, and with it the steps, a little away from the boundary.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax.numpy as jnp
import numpy as np

from .algorithms import METHODS
from .methods import stability_boundary

STIFF_STEPS = 15  # in favour, until a problem counts as stiff
CALM_STEPS = 6  # against, one after the other, that clear the count
NEAR, WITHIN_REACH = 0.8, 0.4  # of the boundary
STRAIGHT = 0.05  # change of the slope in a step, in units of step size times spectral radius


class Stiffness(NamedTuple):
    """What the steps so far say."""

    stiff: Any  # steps in favour
    calm: Any  # steps against since then
    is_stiff: Any


def no_stiffness() -> Stiffness:
    """Before the first step."""
    zero = jnp.zeros((), int)
    return Stiffness(zero, zero, jnp.zeros((), bool))


def make_test(word: str) -> Callable:
    """The function ``(Stiffness, dense, keep, to_go, patience) -> Stiffness`` of a method, after each step.

    ``dense`` is the solver's information on the step, ``to_go`` how many steps like it are left; a problem is stiff
    only if these are more than ``patience``. Methods that can't tell never say so.
    """
    if word not in ("Tsit5", "DP5", "DP8"):
        return lambda stiffness, dense, keep, to_go, patience: stiffness
    rows = getattr(diffrax, METHODS[word].solver).tableau.a_lower
    between = np.append(rows[-1], 0.0) - np.append(rows[-2], [0.0, 0.0])
    boundary = stability_boundary(METHODS[word])

    def test(stiffness, dense, keep, to_go, patience):
        k = dense["k"]  # slopes times the step size
        distance = jnp.linalg.norm(jnp.tensordot(jnp.asarray(between, k.dtype), k, 1))
        radius = jnp.where(distance > 0, jnp.linalg.norm(k[-1] - k[-2]) / distance, 0.0)  # times the step size
        bend = jnp.linalg.norm(k[-1] - k[0]) / jnp.linalg.norm(k[0])
        is_straight = bend < STRAIGHT * radius
        speaks = keep & ((radius > NEAR * boundary) | (radius > WITHIN_REACH * boundary) & is_straight)
        calm = jnp.where(speaks, 0, stiffness.calm + keep)
        stiff = jnp.where(speaks, stiffness.stiff + 1, jnp.where(calm >= CALM_STEPS, 0, stiffness.stiff))
        return Stiffness(stiff, calm, (stiff >= STIFF_STEPS) & (to_go > patience))

    return test
