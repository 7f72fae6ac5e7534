"""The pass that takes arrays apart: a Program of scalar operations, for systems so small that loops cost more."""

import functools
import math
from collections.abc import Callable

import numpy as np

from .evaluate import make_step
from .ops import OPERATIONS
from .program import Program, ProgramBuilder
from .simplify import Writer


class Unrolled:
    """A Program in which each element is a node of its own.

    ``inputs`` and ``outputs`` hold, for each input and output, the nodes of its elements in C order. The Program must
    have no ``network`` nodes.
    """

    def __init__(self, program: Program):
        builder = ProgramBuilder(program.inputs)
        self._nodes = program.nodes
        self._writer = Writer(builder, {}, None)
        self._elements: list[np.ndarray] = []
        self.inputs: list[np.ndarray] = []
        for node in program.nodes:
            self._writer.origin = node.origin
            found = self._unroll(node, program)
            self._elements.append(np.asarray(found, dtype=np.int64).reshape(node.shape))
            if node.op == "input":
                self.inputs.append(self._elements[-1].ravel())
        self.outputs = [self._elements[output.node].ravel() for output in program.outputs]
        self.program = builder.build(
            (f"{output.name}_{k}", int(i))
            for output, elements in zip(program.outputs, self.outputs, strict=True)
            for k, i in enumerate(elements)
        )

    def _unroll(self, node, program):
        if node.op == "input":
            return [self._take(node.attrs[0], k) for k in range(node.size)]
        if node.op == "constant":
            return [self._writer.add_constant(value) for value in program.constants[node.attrs[0]].flat]
        args = [self._elements[i] for i in node.args]
        if OPERATIONS[node.op].kind == "structural":
            return make_step(node)(*args)
        return RULES[node.op](self, node, *args)

    def _take(self, i, k):
        """Element k of an input."""
        if self._writer.shape(i) == ():
            return i
        return self.op("reshape", self.op("slice", i, attrs=((k,), (1,), (1,))), attrs=((),))

    def op(self, name, *args, attrs=()) -> int:
        return self._writer.emit(name, tuple(map(int, args)), attrs)

    def chain(self, name, elements) -> int:
        """An operation on neighbours, from the left."""
        return functools.reduce(lambda a, b: self.op(name, a, b), map(int, elements))

    def vector(self, elements) -> int:
        """Scalars as one array again: a constant if they are."""
        values = [self._writer.constant(int(i)) for i in elements]
        if all(value is not None for value in values):
            return self._writer.add_constant(np.array(values))
        return self.op("stack", *elements)

    def zero(self) -> int:
        return self._writer.add_constant(0.0)


def count_operations(program: Program) -> int:
    """How many scalar operations a Program takes."""
    total = 0
    for node in program.nodes:
        if node.op == "matmul":
            total += 2 * node.size * program.nodes[node.args[0]].shape[-1]
        elif OPERATIONS[node.op].kind == "reduction":
            total += program.nodes[node.args[0]].size
        elif OPERATIONS[node.op].kind == "elementwise":
            total += node.size
    return total


def _elementwise(work, node, *args):
    args = [np.broadcast_to(a, node.shape).ravel() for a in args]
    return [work.op(node.op, *given, attrs=node.attrs) for given in zip(*args, strict=True)]


def _interp(work, node, x, places, heights):
    places, heights = work.vector(places), work.vector(heights)
    return [work.op("interp", i, places, heights) for i in x.ravel()]


def _groups(node, x):
    """The elements that each element of a reduction is made of."""
    (axes,) = node.attrs
    kept = tuple(k for k in range(x.ndim) if k not in axes)
    return x.transpose(*kept, *axes).reshape(node.size, math.prod(x.shape[k] for k in axes))


def _sum(work, node, x):
    return [work.chain("add", group) if len(group) else work.zero() for group in _groups(node, x)]


def _prod(work, node, x):
    one = [work._writer.add_constant(1.0)]
    return [work.chain("mul", group if len(group) else one) for group in _groups(node, x)]


def _extreme(work, node, x):
    """One reduction of an array, whose derivative shares out ties as the whole one's does."""
    groups = _groups(node, x)
    return [work.op(node.op, work.vector(g), attrs=((0,),)) if len(g) > 1 else g[0] for g in groups]


def _cumsum(work, node, x):
    moved = np.moveaxis(x, node.attrs[0], 0)
    found = np.array(moved)
    for k in range(1, len(moved)):
        pairs = zip(found[k - 1].ravel(), moved[k].ravel(), strict=True)
        found[k] = np.reshape([work.op("add", a, b) for a, b in pairs], moved[k].shape)
    return np.moveaxis(found, 0, node.attrs[0])


def _matmul(work, node, a, b):
    left = a if a.ndim > 1 else a[None, :]
    right = b if b.ndim > 1 else b[:, None]
    left, right = np.broadcast_arrays(left[..., :, None, :], np.swapaxes(right, -1, -2)[..., None, :, :])
    rows = zip(left.reshape(-1, left.shape[-1]), right.reshape(-1, left.shape[-1]), strict=True)
    if left.shape[-1] == 0:
        return [work.zero()] * node.size
    return [work.chain("add", [work.op("mul", x, y) for x, y in zip(*row, strict=True)]) for row in rows]


# operation -> (work, node, positions of the arguments' elements) -> positions of the result's, in C order
RULES: dict[str, Callable] = {
    **{name: _elementwise for name, row in OPERATIONS.items() if row.kind == "elementwise"},
    **{"interp": _interp, "sum": _sum, "prod": _prod, "max": _extreme, "min": _extreme},
    **{"cumsum": _cumsum, "matmul": _matmul},
}
