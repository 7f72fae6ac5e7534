"""Derivatives of Programs, as Programs: forward mode, one walk over the nodes with one rule an operation.

A tangent is None where it is zero for all inputs, so that nothing is recorded for what does not depend on the inputs
in question. Where a slope or a tangent may be infinite, their product is a ``zero_product``: a factor 0 wins, as in
the engines' own derivatives. The branch that ``where`` drops adds nothing, since tangents are selected like values.

Reverse mode is the transpose of this one (``reverse.py``).
"""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from .expand import expand_networks
from .ops import BOOL, OPERATIONS
from .program import Program, ProgramBuilder
from .simplify import Writer, simplify_program
from .slopes import SINGULAR, SLOPES, slope_integer_power

TANGENT = "d_"  # before the names of inputs and outputs


def jvp(program: Program, wrt: Iterable[str]) -> Program:
    """The Program of a Jacobian-vector product: tangents of the outputs from tangents of inputs.

    Parameters
    ----------
    program : Program
    wrt : iterable of str
        Names of the inputs that have tangents; the others are constants.

    Returns
    -------
    Program
        Its inputs are those of ``program`` and, for each name in ``wrt``, ``d_<name>`` of the same shape. Its outputs
        are ``d_<output>``, 0 where an output is of bools.

    Raises
    ------
    ValueError
        If there is no such input.

    References
    ----------
    Wengert (1964), A simple automatic derivative evaluation program, doi:10.1145/355586.364791
    """
    program, wrt = simplify_program(expand_networks(program)), tuple(wrt)
    shapes = {item.name: item.shape for item in program.inputs}
    if unknown := sorted(set(wrt) - set(shapes)):
        raise ValueError(f"no input {unknown[0]!r}; there are {', '.join(shapes)}")
    builder = ProgramBuilder(program.inputs)
    tangents: dict[int, int | None] = {
        position: builder.add_input(TANGENT + item.name, shapes[item.name])
        for position, item in enumerate(program.inputs)
        if item.name in wrt
    }
    walk = TangentWalk(program, builder)
    found = walk.push(tangents)
    outputs = [
        (TANGENT + output.name, walk.filled(found.get(output.node), program.nodes[output.node].shape))
        for output in program.outputs
    ]
    return simplify_program(builder.build(outputs))


class TangentWalk:
    """Records the nodes of a Program once, then any number of tangents of them, in one builder.

    The builder's first inputs are the Program's, in order.
    """

    def __init__(self, program: Program, builder: ProgramBuilder):
        self.program = program
        self._writer = Writer(builder, {}, None)
        self.values: list[int] = []
        for node in program.nodes:
            self._writer.origin = node.origin
            if node.op == "input":
                self.values.append(node.attrs[0])
            elif node.op == "constant":
                self.values.append(builder.constant(program.constants[node.attrs[0]]))
            else:
                self.values.append(self._writer.emit(node.op, tuple(self.values[i] for i in node.args), node.attrs))
        self._wild: set[int] = set()

    def push(self, tangents: Mapping[int, int | None]) -> dict[int, int | None]:
        """The tangents of all nodes, from those of some nodes, such as the inputs."""
        found = dict(tangents)
        self._wild = set()
        for i, node in enumerate(self.program.nodes):
            given = [found.get(a) for a in node.args]
            if i in found or node.dtype == BOOL or all(tangent is None for tangent in given):
                continue
            self._writer.origin = node.origin
            is_wild = any(a in self._wild for a in node.args)
            step = _Step(self, node, self.values[i], [self.values[a] for a in node.args], given, is_wild)
            tangent = step.tangent()
            found[i] = None if self.is_zero(tangent) else tangent
            if is_wild or _is_singular(node):
                self._wild.add(i)
        return found

    def op(self, name: str, *args, attrs: tuple = ()) -> int:
        """Record one operation; floats and arrays are constants."""
        return self._writer.emit(name, tuple(map(self.node, args)), attrs)

    def node(self, value) -> int:
        return value if isinstance(value, int) else self._writer.add_constant(value)

    def shape(self, position: int) -> tuple[int, ...]:
        return self._writer.shape(position)

    def is_zero(self, value) -> bool:
        """Whether a slope or a tangent is 0 for all inputs."""
        constant = self._writer.constant(value) if isinstance(value, int) else None
        return constant is not None and not constant.any()

    def filled(self, tangent: int | None, shape: tuple[int, ...]) -> int:
        """A tangent of the given shape; zeros for None."""
        if tangent is None:
            return self.op("broadcast", 0.0, attrs=(shape,))
        return tangent if self.shape(tangent) == shape else self.op("broadcast", tangent, attrs=(shape,))


def _is_singular(node):
    return node.op in SINGULAR or (node.op == "integer_power" and node.attrs[0] < 0)


class _Step:
    """One node whose tangent is wanted: its value, its arguments and their tangents."""

    def __init__(self, walk, node, y, args, tangents, is_wild):
        self.walk, self.node, self.y, self.args, self.tangents = walk, node, y, args, tangents
        self.op = walk.op
        self._product = "zero_product" if is_wild or _is_singular(node) else "mul"

    def tangent(self) -> int | None:
        return RULES[self.node.op](self)

    def times(self, slope, tangent) -> int:
        """Slope times tangent."""
        if isinstance(slope, float) and abs(slope) == 1:
            return tangent if slope == 1 else self.op("neg", tangent)
        return self.op(self._product, slope, tangent)

    def plus(self, a: int | None, b: int | None) -> int | None:
        if a is None or b is None:
            return b if a is None else a
        return self.op("add", a, b)

    def zeros(self, k: int) -> int:
        """The tangent of argument k, zeros included."""
        return self.walk.filled(self.tangents[k], self.walk.shape(self.args[k]))


def _sloped(slopes):
    """Rule: the sum of slopes times tangents."""

    def rule(step: _Step):
        total = None
        for slope, tangent in zip(slopes, step.tangents, strict=True):
            if slope is not None and tangent is not None:
                factor = slope(step.op, step.y, *step.args)
                total = total if step.walk.is_zero(factor) else step.plus(total, step.times(factor, tangent))
        return None if total is None else step.walk.filled(total, step.node.shape)

    return rule


def _integer_power(step):
    slope = slope_integer_power(step.op, step.y, step.args[0], step.node.attrs[0])
    return None if slope is None else step.times(slope, step.tangents[0])


def _sub(step):
    a, b = step.tangents
    found = step.op("neg", b) if a is None else a if b is None else step.op("sub", a, b)
    return step.walk.filled(found, step.node.shape)


def _div(step):
    """``(da - y db) / b``."""
    a, b = step.tangents
    down = None if b is None else step.times(step.y, b)
    over = step.op("neg", down) if a is None else a if down is None else step.op("sub", a, down)
    return step.walk.filled(step.op("div", over, step.args[1]), step.node.shape)


def _where(step):
    """Arguments are selected, not multiplied: what is dropped adds exactly 0."""
    a, b = (0.0 if tangent is None else tangent for tangent in step.tangents[1:])
    return step.walk.filled(step.op("where", step.args[0], a, b), step.node.shape)


def _interp(step):
    """Of the heights: their interpolation. Of x and the places: the slope of the piece on the right, none outside."""
    (x, places, heights), (dx, d_places, d_heights) = step.args, step.tangents
    op, n = step.op, step.walk.shape(step.args[1])[0]
    total = None if d_heights is None else op("interp", x, places, d_heights)
    if n == 1 or (dx is None and d_places is None):
        return total
    first, last = (_piece(op, places, start, 1) for start in (0, n - 1))
    inside = op("logical_and", op("greater_equal", x, first), op("less", x, last))
    number = op("floor", op("interp", x, places, np.arange(float(n))))
    rise, run = (op("sub", _part(op, v, 1, n - 1), _part(op, v, 0, n - 1)) for v in (heights, places))
    slope = op("interp", number, np.arange(n - 1.0), op("div", rise, run))
    slope = op("where", inside, slope, 0.0)
    if dx is not None:
        total = step.plus(total, step.times(slope, dx))
    if d_places is not None:
        total = step.plus(total, op("neg", step.times(slope, op("interp", x, places, d_places))))
    return total


def _part(op, x, start, length, axis=0, rank=1, shape=()):
    """Elements along one axis of an array."""
    starts, lengths = [0] * rank, list(shape or (length,))
    starts[axis], lengths[axis] = start, length
    return op("slice", x, attrs=(tuple(starts), tuple(lengths), (1,) * rank))


def _piece(op, x, start, length):
    """One element of a vector, as a scalar."""
    return op("reshape", _part(op, x, start, length), attrs=((),))


def _linear(step):
    """Rule of an operation that is linear in its arguments together."""
    tangents = [step.zeros(k) for k in range(len(step.args))]
    return step.op(step.node.op, *tangents, attrs=step.node.attrs)


def _matmul(step):
    (a, b), (da, db) = step.args, step.tangents
    left = None if da is None else step.op("matmul", da, b)
    return step.plus(left, None if db is None else step.op("matmul", a, db))


def _extreme(step):
    """Equal shares for all elements that attain the extreme."""
    (axes,), (x,), (dx,) = step.node.attrs, step.args, step.tangents
    kept = tuple(1 if k in axes else n for k, n in enumerate(step.walk.shape(x)))
    attains = step.op("equal", x, step.op("reshape", step.y, attrs=(kept,)))
    total = step.op("sum", step.op("where", attains, dx, 0.0), attrs=(axes,))
    return step.op("div", total, step.op("sum", step.op("to_float", attains), attrs=(axes,)))


def _prod(step):
    """The product rule on pairs of halves: exact beside zeros, and short however long the axis is."""
    (axes,), (x,), (dx,) = step.node.attrs, step.args, step.tangents
    shape = step.walk.shape(x)
    kept = tuple(k for k in range(len(shape)) if k not in axes)
    n, rest = math.prod(shape[k] for k in axes), tuple(shape[k] for k in kept)

    def flat(value):
        moved = step.op("transpose", value, attrs=((*axes, *kept),))
        return step.op("reshape", moved, attrs=((n, *rest),))

    if n == 0:
        return None
    value, tangent = flat(x), flat(dx)
    while n > 1:
        value, tangent, n = _halve(step, value, tangent, n, rest)
    return step.op("reshape", tangent, attrs=(step.node.shape,))


def _halve(step, value, tangent, n, rest):
    """One round: products of the first half with the second, and an odd one out."""
    half = n // 2

    def part(v, start, length):
        return _part(step.op, v, start, length, 0, 1 + len(rest), (length, *rest))

    (a, da), (b, db) = ([part(v, start, half) for v in (value, tangent)] for start in (0, half))
    value_new = step.op("mul", a, b)
    tangent_new = step.plus(step.times(b, da), step.times(a, db))
    if n % 2:
        value_new = step.op("concatenate", value_new, part(value, n - 1, 1), attrs=(0,))
        tangent_new = step.op("concatenate", tangent_new, part(tangent, n - 1, 1), attrs=(0,))
    return value_new, tangent_new, half + n % 2


# operation -> the rule that gives its tangent from those of its arguments, of which at least one is not None
RULES: dict[str, Callable[[_Step], int | None]] = {
    **{name: _sloped(slopes) for name, slopes in SLOPES.items()},
    **{name: _linear for name, row in OPERATIONS.items() if row.kind == "structural"},
    **dict.fromkeys(("sum", "cumsum"), _linear),
    **{"sub": _sub, "div": _div, "integer_power": _integer_power, "where": _where, "interp": _interp},
    **{"max": _extreme, "min": _extreme, "prod": _prod, "matmul": _matmul},
}
