"""The one table of operations: what a node of a Program may do, and the shape and type that come of it.

Each engine keeps a table of its own with the same keys (the NumPy oracle in ``evaluate.py``, the Julia
printer, the JAX lowering); a test holds them equal to this one.

Attributes (``Node.attrs``) by operation
----------------------------------------
========================  =====================================================================
``input``                 ``(position,)``; the shape is the input's
``constant``              ``(index,)`` into ``Program.constants``
``integer_power``         ``(exponent,)``, a Python int of either sign
``sum prod max min``      ``(axes,)``, a sorted tuple of non-negative axes; reduced axes are dropped
``cumsum``                ``(axis,)``
``reshape broadcast``     ``(shape,)``; C order, NumPy's rules
``transpose``             ``(permutation,)``
``stack``                 ``()``; arguments of one shape along a new leading axis
``concatenate``           ``(axis,)``
``slice update``          ``(starts, lengths, steps)``, one int an axis: element i is start + i * step
``gather``                ``(indices, shape)``; flat C-order indices into the argument
``scatter``               ``(indices,)``; flat, distinct; sets them to the elements of the 1-D second argument
``network``               ``(in_size, out_size, width, depth, activation, final_activation, input_range)``;
                          arguments ``(flat weights, x)``; acts on the last axis of x
========================  =====================================================================

All others have no attributes. ``interp`` takes ``(x, xp, fp)`` with increasing 1-D tables and holds the end values
outside. ``where`` takes ``(condition, a, b)``. ``zero_product`` is ``mul`` in which a factor 0 always wins, infinity
and NaN notwithstanding: derivatives are made with it. Elementwise operations broadcast as NumPy does. Values are
float64 or bool (``dtype``); arithmetic needs floats, and ``to_float`` makes them from bools.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FLOAT, BOOL = "float", "bool"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One row: name, number of arguments (None: any), class, and the result's shape and type."""

    name: str
    arity: int | None
    kind: str  # elementwise, reduction, structural, linear, network, leaf
    shape: Callable[[list[Shape], tuple], Shape]
    takes: str | None = FLOAT  # the type of the arguments; None: any
    gives: str | None = FLOAT  # the type of the result; None: the type of the last argument


def _broadcast(shapes, attrs):
    return np.broadcast_shapes(*shapes)


def _reduced(shapes, attrs):
    (axes,) = attrs
    return tuple(n for axis, n in enumerate(shapes[0]) if axis not in axes)


def _matmul(shapes, attrs):
    a, b = shapes
    if not a or not b:
        raise ValueError("matmul needs arrays of at least one dimension")
    inner = b[-2] if len(b) > 1 else b[0]
    if a[-1] != inner:
        raise ValueError(f"matmul of shapes {a} and {b}: {a[-1]} != {inner}")
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    return batch + a[-2:-1] + (b[-1:] if len(b) > 1 else ())


def _reshape(shapes, attrs):
    if math.prod(attrs[0]) != math.prod(shapes[0]):
        raise ValueError(f"can't reshape {shapes[0]} into {attrs[0]}")
    return tuple(attrs[0])


def _stack(shapes, attrs):
    if len(set(shapes)) != 1:
        raise ValueError(f"stack of different shapes {sorted(set(shapes))}")
    return (len(shapes), *shapes[0])


def _concatenate(shapes, attrs):
    (axis,) = attrs
    rest = {s[:axis] + s[axis + 1 :] for s in shapes}
    if len(rest) != 1:
        raise ValueError(f"concatenate along axis {axis} of shapes {shapes}")
    return shapes[0][:axis] + (sum(s[axis] for s in shapes),) + shapes[0][axis + 1 :]


def _network(shapes, attrs):
    if not shapes[1] or shapes[1][-1] != attrs[0]:
        raise ValueError(f"the network takes {attrs[0]} inputs on its last axis, got shape {shapes[1]}")
    return shapes[1][:-1] + (attrs[1],)


def _row(name, arity, kind, shape, takes: str | None = FLOAT, gives: str | None = FLOAT):
    return Operation(name, arity, kind, shape, takes, gives)


UNARY = (
    "neg abs sign exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan arcsin arccos arctan "
    "sinh cosh tanh arcsinh arccosh arctanh floor ceil round trunc integer_power"
).split()
BINARY = "add sub mul div pow mod arctan2 hypot minimum maximum copysign zero_product".split()
COMPARISONS = "less less_equal greater greater_equal equal not_equal".split()

OPERATIONS: dict[str, Operation] = {
    row.name: row
    for row in [
        _row("input", 0, "leaf", lambda shapes, attrs: ()),
        _row("constant", 0, "leaf", lambda shapes, attrs: ()),
        *(_row(name, 1, "elementwise", _broadcast) for name in UNARY),
        *(_row(name, 2, "elementwise", _broadcast) for name in BINARY),
        *(_row(name, 2, "elementwise", _broadcast, FLOAT, BOOL) for name in COMPARISONS),
        *(_row(name, 2, "elementwise", _broadcast, BOOL, BOOL) for name in ("logical_and", "logical_or")),
        _row("logical_not", 1, "elementwise", _broadcast, BOOL, BOOL),
        _row("isnan", 1, "elementwise", _broadcast, FLOAT, BOOL),
        _row("isfinite", 1, "elementwise", _broadcast, FLOAT, BOOL),
        _row("to_float", 1, "elementwise", _broadcast, BOOL, FLOAT),
        _row("where", 3, "elementwise", _broadcast, None, None),
        _row("interp", 3, "elementwise", lambda shapes, attrs: shapes[0]),
        *(_row(name, 1, "reduction", _reduced) for name in ("sum", "prod", "max", "min")),
        _row("cumsum", 1, "reduction", lambda shapes, attrs: shapes[0]),
        _row("matmul", 2, "linear", _matmul),
        _row("reshape", 1, "structural", _reshape, None, None),
        _row("broadcast", 1, "structural", lambda shapes, attrs: np.broadcast_shapes(shapes[0], attrs[0]), None, None),
        _row("transpose", 1, "structural", lambda shapes, attrs: tuple(shapes[0][i] for i in attrs[0]), None, None),
        _row("stack", None, "structural", _stack, None, None),
        _row("concatenate", None, "structural", _concatenate, None, None),
        _row("slice", 1, "structural", lambda shapes, attrs: tuple(attrs[1]), None, None),
        _row("gather", 1, "structural", lambda shapes, attrs: tuple(attrs[1]), None, None),
        _row("update", 2, "structural", lambda shapes, attrs: shapes[0], None, None),
        _row("scatter", 2, "structural", lambda shapes, attrs: shapes[0], None, None),
        _row("network", 2, "network", _network),
    ]
}
