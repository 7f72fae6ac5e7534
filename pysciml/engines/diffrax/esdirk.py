"""Diagonally implicit Runge-Kutta steps for stiff problems, as a diffrax solver.

The tableaus are diffrax's; the stages are solved otherwise. Newton's iteration runs on the increments ``dt * f`` and
stops by the tolerances of the solution itself (diffrax's own works on slopes, and rejects half the steps of a stiff
problem for want of convergence), and one matrix serves a whole step: Hairer & Wanner (1996), Solving Ordinary
Differential Equations II, section IV.8, doi:10.1007/978-3-642-05221-7. Derivatives are those of the stage equations.
"""

from typing import ClassVar, NamedTuple

import diffrax
import equinox
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from .partials import zero_product

RESULTS = diffrax.RESULTS
LARGE_MATRIX = 256
MOST_ITERATIONS = 8
ACCURACY = 0.005


class Tableau(NamedTuple):
    """Coefficients with an explicit first stage and one diagonal value; ``c`` counts from the first stage."""

    a: np.ndarray  # (stage, stage), strictly lower
    diagonal: float
    predictor: np.ndarray  # (stage, stage): the increment a stage starts from
    error: np.ndarray
    c: np.ndarray


def _square(rows):
    full = np.zeros((len(rows) + 1,) * 2)
    for i, row in enumerate(rows):
        full[i + 1, : len(row)] = row
    return full


def read_tableau(name: str) -> Tableau:
    """The tableau of one of diffrax's solvers; of a KenCarp method its implicit half."""
    if name == "ImplicitEuler":
        carry = np.array([[0.0, 0.0], [1.0, 0.0]])
        return Tableau(np.zeros((2, 2)), 1.0, carry, np.array([-0.5, 0.5]), np.array([0.0, 1.0]))
    tableau = getattr(diffrax, name).tableau
    if isinstance(tableau, diffrax.MultiButcherTableau):
        tableau = next(half for half in tableau.tableaus if half.implicit)
    return Tableau(
        _square(tableau.a_lower),
        float(tableau.a_diagonal[-1]),
        _square(tableau.a_predictor),
        np.asarray(tableau.b_error),
        np.append(0.0, tableau.c),
    )


class ESDIRK(diffrax.AbstractAdaptiveSolver):
    """One stiffly accurate method: its last stage is the step's end, and gives the next step's first slope."""

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.ThirdOrderHermitePolynomialInterpolation.from_k

    rtol: jax.Array
    atol: jax.Array
    name: str = equinox.field(static=True)
    method_order: int = equinox.field(static=True)

    def order(self, terms):
        return self.method_order

    def error_order(self, terms):
        return max(self.method_order, 2)

    def func(self, terms, t0, y0, args):
        return terms.vf(t0, y0, args)

    def init(self, terms, t0, t1, y0, args):
        return jnp.asarray(True), jax.tree.map(jnp.zeros_like, y0)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        tableau = read_tableau(self.name)
        flat, unravel = ravel_pytree(y0)
        control = terms.contr(t0, t1)

        def increment(t, y):
            return ravel_pytree(terms.vf_prod(t, unravel(y), args, control))[0]

        is_first, slope = solver_state
        slope = jax.lax.cond(is_first | made_jump, lambda: terms.vf(t0, y0, args), lambda: slope)
        first = ravel_pytree(terms.prod(slope, control))[0]
        inverse = _inverse_matrix(lambda y: increment(t0, y), flat, tableau.diagonal)
        z, is_converged = _solve_stages(tableau, increment, inverse, t0, t1, flat, first, self._scale)
        y1 = flat + (tableau.a[-1] @ z) + tableau.diagonal * z[-1]
        error = jnp.where(is_converged, tableau.error @ jax.lax.stop_gradient(z), jnp.inf)
        k = jax.tree.map(lambda a, b: jnp.stack([a, b]), unravel(z[0]), unravel(z[-1]))
        y1 = unravel(y1)
        slope = unravel(z[-1] / (t1 - t0))
        result = RESULTS.where(is_converged, RESULTS.successful, RESULTS.nonlinear_divergence)
        return y1, unravel(error), {"y0": y0, "y1": y1, "k": k}, (jnp.asarray(False), slope), result

    def _scale(self, y):
        return self.atol + self.rtol * jnp.abs(y)


def _inverse_matrix(increment, y, diagonal):
    """The inverse of ``1 - diagonal * (d increment / d y)``, a constant to derivatives: it only steers iterations."""
    jacobian = jax.jacfwd(lambda y: increment(y))(jax.lax.stop_gradient(y))
    return invert(jax.lax.stop_gradient(jnp.eye(y.size) - diagonal * jacobian))


def invert(matrix):
    """The inverse of a square matrix: Gauss-Jordan elimination with row pivots, or LAPACK where it is large.

    For small matrices LAPACK's threads cost more than they bring, most of all on a busy machine.
    """
    size = len(matrix)
    if size > LARGE_MATRIX:
        return jnp.linalg.inv(matrix)
    position = jnp.arange(size)

    def eliminate(i, carry):
        work, order = carry
        pivot = jnp.argmax(jnp.where(position >= i, jnp.abs(work[:, i]), -1.0))
        swapped = position.at[i].set(pivot).at[pivot].set(i)
        work, order = work[swapped], order[swapped]
        scale = 1 / work[i, i]
        row = jnp.where(position == i, scale, work[i] * scale)
        column = jnp.where(position == i, 0.0, work[:, i])
        work = jnp.where(position == i, 0.0, work) - column[:, None] * row
        return work.at[i].set(row), order

    work, order = jax.lax.fori_loop(0, size, eliminate, (matrix, position))
    return jnp.zeros_like(matrix).at[:, order].set(work)


def _solve_stages(tableau, increment, inverse, t0, t1, y0, first, scale):
    """The increments of all stages ``(stage, state)``, and whether every iteration converged."""
    start = jnp.zeros((len(tableau.c), y0.size)).at[0].set(first)
    weight = scale(jax.lax.stop_gradient(y0))

    def solve(carry, row):
        z, is_converged = carry
        index, a, predictor, c = row
        t = jnp.where(c == 1, t1, t0 + c * (t1 - t0))
        base = y0 + a @ z
        value, did_converge = _solve_stage(
            lambda x: increment(t, base + tableau.diagonal * x) - x, predictor @ z, inverse, weight
        )
        return (z.at[index].set(value), is_converged & (did_converge > 0)), None

    rows = (np.arange(1, len(tableau.c)), tableau.a[1:], tableau.predictor[1:], tableau.c[1:])
    (z, is_converged), _ = jax.lax.scan(solve, (start, jnp.asarray(True)), jax.tree.map(jnp.asarray, rows))
    return z, is_converged


def _solve_stage(residual, guess, inverse, weight):
    """A root of ``residual`` by simplified Newton, with the derivatives of the exact root."""

    def solve(residual, guess):
        value, _, _, _, did_converge = jax.lax.while_loop(_goes_on, iterate, (guess, jnp.inf, 0, False, False))
        value = jnp.where(did_converge, value, guess)  # derivatives of a step to be rejected are taken somewhere sane
        return value, did_converge.astype(value.dtype)  # JAX asks for a tangent of it

    def iterate(state):
        value, size, count, _, _ = state
        change = inverse @ residual(value)
        new_size = jnp.sqrt(jnp.mean((change / weight) ** 2))
        rate = new_size / size
        is_small = new_size * jnp.where(count == 0, 10.0, rate / (1 - rate)) < ACCURACY
        converged = (is_small & (rate < 1)) | (new_size == 0)
        diverged = ~jnp.isfinite(new_size) | (rate > 2)
        return value + change, new_size, count + 1, diverged, converged

    def solve_tangent(linear, y):
        inverse = invert(jax.jacfwd(linear)(jnp.zeros_like(y)))
        return jnp.sum(zero_product(inverse, jnp.broadcast_to(y, inverse.shape)), axis=1)

    return jax.lax.custom_root(residual, guess, solve, solve_tangent, has_aux=True)


def _goes_on(state):
    _, _, count, diverged, converged = state
    return ~diverged & ~converged & (count < MOST_ITERATIONS)
