"""Step control: diffrax's PI controller, guarded against trial steps that leave the model's domain, and fixed steps."""

import diffrax
import jax
import jax.numpy as jnp
import optimistix

from .algorithms import Method

RESULTS = diffrax.RESULTS
NOT_FINITE = RESULTS.nonfinite if hasattr(RESULTS, "nonfinite") else RESULTS.nonfinite_input  # diffrax before 0.7.2
# Methods of higher order than the cubic between their steps: there, not at the steps, the error is largest (Robertson
# at 1e-6: 55 tolerances against 2.5), so their steps are held to a fifth of the tolerances.
CUBIC_BETWEEN = ("Kvaerno5", "KenCarp4", "KenCarp5")
SMALLEST = {"float64": 1e-290, "float32": 1e-30}  # steps below it underflow at t = 0


def smallest_step(t):
    """The step below which floating point can't resolve time any more."""
    dtype = jnp.result_type(t)
    return jnp.maximum(4 * jnp.finfo(dtype).eps * jnp.abs(t), SMALLEST[dtype.name])


def _is_finite(tree):
    """Whether every number in a tree of arrays is finite (the backward solve of an adjoint has a tree as its state)."""
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree)]))


class GuardedSteps(diffrax.AbstractAdaptiveStepSizeController):
    """Another controller, for which a trial step with NaN or infinity is a rejected step.

    A rejected step that can't be made smaller ends the solve: ``nonfinite`` after such a trial, else
    ``dt_min_reached``.
    """

    inner: diffrax.PIDController

    @property
    def rtol(self):
        return self.inner.rtol

    @property
    def atol(self):
        return self.inner.atol

    @property
    def norm(self):
        return self.inner.norm

    def wrap(self, direction):
        return self

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        return self.inner.init(terms, t0, t1, y0, dt0, args, func, error_order)

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
        is_finite = _is_finite((y1_candidate, y_error))
        y1 = jax.tree.map(lambda new, old: jnp.where(is_finite, new, old), y1_candidate, y0)
        error = jax.tree.map(lambda x: jnp.where(is_finite, x, jnp.inf), y_error)
        keep, next_t0, next_t1, made_jump, state, result = self.inner.adapt_step_size(
            t0, t1, y0, y1, args, error, error_order, controller_state
        )
        is_stuck = ~keep & (next_t1 - next_t0 <= smallest_step(t0))
        reason = RESULTS.where(is_finite, RESULTS.dt_min_reached, NOT_FINITE)
        return keep, next_t0, next_t1, made_jump, state, RESULTS.where(is_stuck, reason, result)


class FixedSteps(diffrax.AbstractAdaptiveStepSizeController):
    """Steps of one size, whatever the error; ``nonfinite`` at the first NaN or infinity.

    It calls itself adaptive so that ``ClipStepSizeController`` takes it: steps end at jumps all the same.
    """

    dt: jax.Array
    rtol: float = 0.0
    atol: float = 0.0
    norm: object = optimistix.max_norm

    def wrap(self, direction):
        return self

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        return t0 + self.dt, None

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
        is_finite = _is_finite(y1_candidate)
        result = RESULTS.where(is_finite, RESULTS.successful, NOT_FINITE)
        return is_finite, jnp.where(is_finite, t1, t0), t1 + self.dt, False, None, result


def make_controller(method: Method, rtol, atol, dt, dtmax, tstops):
    """The controller of a method; ``tstops`` is an increasing array padded with infinity, or None."""
    if method.is_adaptive:
        strictness = 5.0 if method.word in CUBIC_BETWEEN else 1.0
        inner = diffrax.PIDController(rtol=rtol / strictness, atol=atol / strictness, dtmax=dtmax)
        controller = GuardedSteps(inner)
    else:
        controller = FixedSteps(dt)
    return controller if tstops is None else diffrax.ClipStepSizeController(controller, jump_ts=tstops)
