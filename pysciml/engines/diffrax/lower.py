"""Programs lowered to JAX: ``lower_program`` gives a function that JAX can compile, batch and differentiate."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ...ir.evaluate import slice_index
from ...ir.network import apply_network
from ...ir.program import Program
from .partials import ELEMENTWISE, integer_power, zero_product


def _plain(function):
    """Maker for an operation without attributes."""
    return lambda: function


def _slice(starts, lengths, steps):
    index = slice_index(starts, lengths, steps)
    return lambda x: x[index]


def _gather(indices, shape):
    indices = np.array(indices, dtype=np.int64).reshape(shape)
    return lambda x: jnp.ravel(x).at[indices].get(mode="promise_in_bounds")


def _update(starts, lengths, steps):
    """Pad and select: both fuse, where a scatter is a loop of its own on a CPU."""
    index = slice_index(starts, lengths, steps)
    backwards = tuple(axis for axis, step in enumerate(steps) if step < 0)

    def update(base, value):
        if 0 in lengths:
            return base
        taken = np.zeros(base.shape, dtype=bool)
        taken[index] = True
        value = jax.lax.rev(jnp.broadcast_to(value, lengths), backwards)
        firsts = [s if step > 0 else s + (n - 1) * step for s, n, step in zip(starts, lengths, steps, strict=True)]
        margins = [
            (first, size - first - (n - 1) * abs(step) - 1, abs(step) - 1)
            for first, size, n, step in zip(firsts, base.shape, lengths, steps, strict=True)
        ]
        return jnp.where(taken, jax.lax.pad(value, jnp.zeros((), value.dtype), margins), base)

    return update


def _scatter(indices):
    """A gather through the inverse of ``indices``, and a select: faster than a scatter on a CPU."""
    indices = np.array(indices, dtype=np.int64)

    def scatter(base, values):
        if not indices.size:
            return base
        source, taken = np.zeros(base.size, dtype=np.int64), np.zeros(base.size, dtype=bool)
        source[indices], taken[indices] = np.arange(indices.size), True
        spread = values.at[source].get(mode="promise_in_bounds")
        return jnp.where(taken.reshape(base.shape), spread.reshape(base.shape), base)

    return scatter


def _interp(x, xp, fp):
    """Linear interpolation that holds the end values; no slope outside the table."""
    if len(xp) == 1:
        return jnp.where(jnp.isnan(x), x, fp[0])
    right = jnp.clip(jnp.searchsorted(xp, x, side="right"), 1, len(xp) - 1)
    x0, x1, f0, f1 = xp[right - 1], xp[right], fp[right - 1], fp[right]
    inside = f0 + (f1 - f0) / (x1 - x0) * (x - x0)
    return jnp.where(x < xp[0], fp[0], jnp.where(x >= xp[-1], fp[-1], inside))


def _network(*attrs):
    def op(name, *args, attrs=()):
        return LOWER[name](*attrs)(*args)

    return lambda weights, x: apply_network(op, attrs, weights, x)


# op -> (attributes -> (values of the arguments -> value)), as in the oracle
LOWER: dict[str, Callable[..., Callable]] = {
    **{name: _plain(function) for name, function in ELEMENTWISE.items()},
    **{name: _plain(getattr(jnp, name)) for name in "floor ceil trunc isnan isfinite".split()},
    **{name: _plain(getattr(jnp, name)) for name in "less less_equal greater greater_equal".split()},
    **{name: _plain(getattr(jnp, name)) for name in "equal not_equal logical_and logical_or logical_not".split()},
    "sign": _plain(lambda x: jnp.where(x == 0, 0.0, jnp.sign(x))),  # -0.0 has the sign 0.0
    **{"neg": _plain(jnp.negative), "round": _plain(jnp.rint), "add": _plain(jnp.add), "sub": _plain(jnp.subtract)},
    "input": lambda position: lambda inputs: inputs[position],
    "constant": lambda index: lambda constants: constants[index],
    "integer_power": integer_power,
    "to_float": _plain(lambda x: x.astype(float)),
    "zero_product": _plain(lambda a, b: zero_product(*jnp.broadcast_arrays(a, b))),
    "where": _plain(jnp.where),
    "interp": _plain(_interp),
    "sum": lambda axes: lambda x: jnp.sum(x, axes),
    "prod": lambda axes: lambda x: jnp.prod(x, axes),
    "max": lambda axes: lambda x: jnp.max(x, axes),
    "min": lambda axes: lambda x: jnp.min(x, axes),
    "cumsum": lambda axis: lambda x: jnp.cumsum(x, axis),
    "matmul": _plain(jnp.matmul),
    "reshape": lambda shape: lambda x: jnp.reshape(x, shape),
    "broadcast": lambda shape: lambda x: jnp.broadcast_to(x, np.broadcast_shapes(x.shape, shape)),
    "transpose": lambda permutation: lambda x: jnp.transpose(x, permutation),
    "stack": _plain(lambda *values: jnp.stack(values)),
    "concatenate": lambda axis: lambda *values: jnp.concatenate(values, axis),
    "slice": _slice,
    "gather": _gather,
    "update": _update,
    "scatter": _scatter,
    "network": _network,
}


def _constant(value):
    """A constant in the bits of the moment; so a NumPy array isn't of itself."""
    return jnp.asarray(value, bool if value.dtype == bool else float)


def lower_program(program: Program) -> Callable:
    """The function ``(*inputs, constants=program.constants) -> (output, ...)`` of a Program, on JAX arrays.

    It computes in as many bits as JAX does where it is called. Derivatives at kinks: ``partials.py``.
    """
    leaves = {"input": (-2,), "constant": (-1,)}
    steps = [(LOWER[node.op](*node.attrs), leaves.get(node.op, node.args)) for node in program.nodes]
    outputs = [output.node for output in program.outputs]

    def function(*inputs, constants=program.constants):
        sources = {-2: inputs, -1: tuple(map(_constant, constants))}
        values: list = []
        for step, args in steps:
            values.append(step(*(values[i] if i >= 0 else sources[i] for i in args)))
        return tuple(values[node] for node in outputs)

    return function
