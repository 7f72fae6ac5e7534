"""The oracle: Programs evaluated by NumPy, node by node. NaN and infinity are values here, never exceptions.

Every value is contiguous: NumPy sums and vectorises strided arrays in another order, and the result of an operation
shall depend on the values of its arguments only, to the last bit.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from ..errors import ProblemError
from .network import apply_network
from .program import Node, Program


def slice_index(starts: tuple, lengths: tuple, steps: tuple) -> tuple[slice, ...]:
    """The index that takes ``lengths[k]`` elements along axis k, from ``starts[k]`` in steps of ``steps[k]``."""
    index = []
    for start, length, step in zip(starts, lengths, steps, strict=True):
        stop = start + length * step
        index.append(slice(start, None if stop < 0 else stop, step) if length else slice(0, 0))
    return tuple(index)


def _plain(function):
    """Maker for an operation without attributes."""
    return lambda: function


def _integer_power(exponent):
    exponent = float(exponent)
    return lambda x: np.power(x, exponent)


def _slice(starts, lengths, steps):
    index = slice_index(starts, lengths, steps)
    return lambda x: x[index].copy()


def _gather(indices, shape):
    indices = np.array(indices, dtype=np.intp)
    return lambda x: np.ravel(x)[indices].reshape(shape)


def _update(starts, lengths, steps):
    index = slice_index(starts, lengths, steps)

    def update(base, value):
        result = np.array(base)
        result[index] = value
        return result

    return update


def _scatter(indices):
    indices = np.array(indices, dtype=np.intp)

    def scatter(base, values):
        result = np.array(base, order="C")
        result.reshape(-1)[indices] = values
        return result

    return scatter


def _zero_product(a, b):
    return np.where((a == 0) | (b == 0), 0.0, a * b)


def _network(*attrs):
    def op(name, *args, attrs=()):
        return EVALUATE[name](*attrs)(*args)

    return lambda weights, x: apply_network(op, attrs, weights, x)


UFUNCS = {
    **{name: getattr(np, name) for name in "abs sign exp expm1 log log1p log2 log10 sqrt cbrt".split()},
    **{name: getattr(np, name) for name in "sin cos tan arcsin arccos arctan sinh cosh tanh".split()},
    **{name: getattr(np, name) for name in "arcsinh arccosh arctanh floor ceil trunc isnan isfinite".split()},
    **{name: getattr(np, name) for name in "mod arctan2 hypot minimum maximum copysign".split()},
    **{name: getattr(np, name) for name in "less less_equal greater greater_equal equal not_equal".split()},
    **{name: getattr(np, name) for name in "logical_and logical_or logical_not".split()},
    **{"neg": np.negative, "round": np.rint, "pow": np.power},
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide},
}

# op -> (attributes -> (values of the arguments -> value)); a leaf's value is taken from the inputs or the constants
EVALUATE: dict[str, Callable[..., Callable]] = {
    **{name: _plain(function) for name, function in UFUNCS.items()},
    "input": lambda position: lambda inputs: inputs[position],
    "constant": lambda index: lambda constants: constants[index],
    "integer_power": _integer_power,
    "to_float": _plain(lambda x: x.astype(np.float64)),
    "zero_product": _plain(_zero_product),
    "where": _plain(np.where),
    "interp": _plain(np.interp),
    "sum": lambda axes: partial(np.add.reduce, axis=axes),
    "prod": lambda axes: partial(np.multiply.reduce, axis=axes),
    "max": lambda axes: partial(np.maximum.reduce, axis=axes),
    "min": lambda axes: partial(np.minimum.reduce, axis=axes),
    "cumsum": lambda axis: partial(np.add.accumulate, axis=axis),
    "matmul": _plain(np.matmul),
    "reshape": lambda shape: lambda x: x.reshape(shape),
    "broadcast": lambda shape: lambda x: np.broadcast_to(x, np.broadcast_shapes(np.shape(x), shape)).copy(),
    "transpose": lambda permutation: lambda x: x.transpose(permutation).copy(),
    "stack": _plain(lambda *values: np.array(values)),
    "concatenate": lambda axis: lambda *values: np.concatenate(values, axis),
    "slice": _slice,
    "gather": _gather,
    "update": _update,
    "scatter": _scatter,
    "network": _network,
}


def make_step(node: Node) -> Callable:
    """The function that computes a node's value from its arguments' values."""
    return EVALUATE[node.op](*node.attrs)


@lru_cache(maxsize=256)
def _make_steps(program: Program) -> tuple[tuple[Callable, tuple[int, ...]], ...]:
    """One (function, argument positions) a node; -1 and -2 stand for the inputs and the constants."""
    leaves = {"input": (-2,), "constant": (-1,)}
    return tuple((make_step(node), leaves.get(node.op, node.args)) for node in program.nodes)


def check_inputs(program: Program, inputs: tuple) -> tuple[np.ndarray, ...]:
    """The inputs as float64 arrays; ProblemError if their number or shapes do not fit."""
    if len(inputs) != len(program.inputs):
        names = ", ".join(item.name for item in program.inputs)
        raise ProblemError(f"the program takes {len(program.inputs)} inputs ({names}), got {len(inputs)}")
    arrays = tuple(np.asarray(value, dtype=np.float64) for value in inputs)
    for item, array in zip(program.inputs, arrays, strict=True):
        if array.shape != item.shape:
            raise ProblemError(f"input {item.name!r} of the program has shape {item.shape}, got {array.shape}")
    return arrays


def evaluate_nodes(program: Program, *inputs) -> list[np.ndarray]:
    """The value of every node, in order: float64 or bool arrays (NumPy scalars where the shape is ``()``).

    Parameters
    ----------
    program : Program
    *inputs : array_like
        One an input of the program, of its shape.

    Raises
    ------
    ProblemError
        If the number or the shapes of the inputs do not fit.
    """
    inputs = check_inputs(program, inputs)
    values: list = []
    take = values.__getitem__
    with np.errstate(all="ignore"):
        for function, args in _make_steps(program):
            if args and args[0] < 0:
                values.append(function(inputs if args[0] == -2 else program.constants))
            else:
                values.append(function(*map(take, args)))
    return values


def evaluate_program(program: Program, *inputs) -> tuple[np.ndarray, ...]:
    """The outputs of a program, in order: float64 or bool arrays. Parameters and errors: ``evaluate_nodes``."""
    values = evaluate_nodes(program, *inputs)
    return tuple(np.asarray(values[output.node]) for output in program.outputs)
