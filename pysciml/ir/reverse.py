"""Reverse mode: the product of a cotangent with the derivatives of a Program, as a Program.

What forward mode records is linear in the tangents, made of a few linear operations; transposed one by one from the
last to the first, they give the reverse mode. The rules for what isn't linear are those of ``derivatives.py`` alone.

A cotangent may be exactly 0 where the value is of no use (the branch that ``where`` drops, an element that no slice
takes), whatever the slope there is, and infinite where slopes are; products with such cotangents are ``zero_product``.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from .derivatives import jvp
from .evaluate import slice_index
from .ops import Shape
from .program import Node, Program, ProgramBuilder
from .simplify import Writer, simplify_program
from .windows import Window

COTANGENT = "c_"  # before the names of inputs and outputs


def vjp(program: Program, wrt: Iterable[str], zeros_win: bool = False) -> Program:
    """The Program of a vector-Jacobian product: cotangents of inputs from cotangents of the outputs.

    Parameters
    ----------
    program : Program
    wrt : iterable of str
        Names of the inputs whose cotangents are wanted, in any order.
    zeros_win : bool, default False
        Elements whose cotangent is 0 add nothing, even where their values or slopes are NaN.

    Returns
    -------
    Program
        Its inputs are those of ``program`` and, for each output, ``c_<output>`` of the same shape (without effect
        where the output is of bools). Its outputs are ``c_<name>`` for each name in ``wrt``.

    Raises
    ------
    ValueError
        If there is no such input.

    References
    ----------
    Radul, Paszke, Frostig, Johnson, Maclaurin (2023), You only linearize once: tangents transpose to gradients,
    doi:10.1145/3571236
    """
    wrt = tuple(wrt)
    tangents = jvp(program, wrt)
    builder = ProgramBuilder(program.inputs)
    seeds = [builder.add_input(COTANGENT + o.name, program.nodes[o.node].shape) for o in program.outputs]
    walk = CotangentWalk(tangents, len(program.inputs), builder)
    for output, seed in zip(tangents.outputs, seeds, strict=True):
        walk.send(output.node, seed)
        if zeros_win:
            walk.wild.add(output.node)
    found = dict(zip((item.name for item in tangents.inputs[len(program.inputs) :]), walk.pull(), strict=True))
    order = {item.name: found["d_" + item.name] for item in program.inputs if item.name in wrt}
    return simplify_program(builder.build((COTANGENT + name, order[name]) for name in wrt))


class CotangentWalk:
    """Transposes a Program that is linear in its inputs from ``first`` on; the others are those of the builder."""

    def __init__(self, program: Program, first: int, builder: ProgramBuilder):
        self.nodes, self._first = program.nodes, first
        self._inputs = len(program.inputs)
        self._writer = Writer(builder, {}, None)
        self.values: dict[int, int] = {}  # of the nodes that don't depend on the linear inputs
        self._whole: dict[int, int] = {}
        self._parts: dict[int, list[tuple[Window, int]]] = {}
        self.wild: set[int] = set()
        for i, node in enumerate(program.nodes):
            self._writer.origin = node.origin
            if node.op == "constant":
                self.values[i] = builder.constant(program.constants[node.attrs[0]])
            elif node.op == "input":
                if node.attrs[0] < first:
                    self.values[i] = node.attrs[0]
            elif all(a in self.values for a in node.args):
                self.values[i] = self._writer.emit(node.op, tuple(self.values[a] for a in node.args), node.attrs)

    def pull(self) -> list[int]:
        """The cotangents of the linear inputs, from those that were sent."""
        found: dict[int, int] = {}
        for i in reversed(range(len(self.nodes))):
            node = self.nodes[i]
            cotangent = self._total(i)
            if node.op == "input" and node.attrs[0] >= self._first:
                zeros = self.op("broadcast", 0.0, attrs=(node.shape,))
                found[node.attrs[0]] = zeros if cotangent is None else cotangent
            elif cotangent is not None:
                self._writer.origin = node.origin
                if node.op in _STARTS:
                    self.wild.update(node.args)
                if i in self.wild:
                    self.wild.update(node.args)
                TRANSPOSES[node.op](_Step(self, node, cotangent, i in self.wild))
        return [found[k] for k in range(self._first, self._inputs)]

    def op(self, name: str, *args, attrs: tuple = ()) -> int:
        """Record one operation; floats and arrays are constants."""
        return self._writer.emit(name, tuple(map(self._node, args)), attrs)

    def _node(self, value):
        return value if isinstance(value, int) else self._writer.add_constant(value)

    def shape(self, position: int) -> Shape:
        return self._writer.shape(position)

    def send(self, i: int, cotangent: int) -> None:
        """Add to the cotangent of a node, if it is linear."""
        if i not in self.values:
            self._whole[i] = self._plus(self._whole[i], cotangent) if i in self._whole else cotangent

    def send_part(self, i: int, window: Window, cotangent: int) -> None:
        """Add to the cotangent of a node where a slice was taken."""
        if i not in self.values:
            self._parts.setdefault(i, []).append((window, cotangent))

    def _plus(self, a, b):
        node = self._writer.node(b)
        return self.op("sub", a, node.args[0]) if node.op == "neg" else self.op("add", a, b)

    def _total(self, i):
        """The cotangent of a node: None if nothing was sent. Parts that don't meet are written without sums."""
        whole, parts = self._whole.pop(i, None), self._parts.pop(i, ())
        if not parts:
            return whole
        shape = self.nodes[i].shape
        total = self.op("broadcast", 0.0, attrs=(shape,)) if whole is None else whole
        written = np.full(shape, whole is not None)
        for window, value in parts:
            index = slice_index(*window)
            if written[index].any():
                value = self._plus(self.op("slice", total, attrs=window), value)
            total = self.op("update", total, value, attrs=window)
            written[index] = True
        if not written.all():
            self.wild.add(i)
        return total


_STARTS = frozenset(("where", "zero_product"))


class _Step:
    """One linear node and its cotangent."""

    def __init__(self, walk: CotangentWalk, node: Node, cotangent: int, is_wild: bool):
        self.walk, self.node, self.cotangent, self.is_wild = walk, node, cotangent, is_wild
        self.op = walk.op

    def is_linear(self, k: int) -> bool:
        return self.node.args[k] not in self.walk.values

    def shape(self, k: int) -> Shape:
        return self.walk.nodes[self.node.args[k]].shape

    def value(self, k: int) -> int:
        """An argument that the node isn't linear in."""
        return self.walk.values[self.node.args[k]]

    def send(self, k: int, cotangent: int) -> None:
        """To argument k, summed over the axes along which that was broadcast."""
        given, shape = self.walk.shape(cotangent), self.shape(k)
        extra = len(given) - len(shape)
        axes = tuple(a for a, n in enumerate(given) if a < extra or n != shape[a - extra])
        if axes:
            cotangent = self.op("sum", cotangent, attrs=(axes,))
        self.walk.send(self.node.args[k], self.op("reshape", cotangent, attrs=(shape,)))

    def times(self, factor: int, cotangent: int) -> int:
        wins = self.is_wild or self.node.op == "zero_product"
        return self.op("zero_product" if wins else "mul", factor, cotangent)

    def zeros(self, shape: Shape) -> int:
        return self.op("broadcast", 0.0, attrs=(shape,))


def _add(step):
    for k in range(2):
        step.send(k, step.cotangent)


def _sub(step):
    step.send(0, step.cotangent)
    step.send(1, step.op("neg", step.cotangent))


def _neg(step):
    step.send(0, step.op("neg", step.cotangent))


def _mul(step):
    for k in range(2):
        if step.is_linear(k):
            step.send(k, step.times(step.value(1 - k), step.cotangent))


def _div(step):
    quotient = step.op("div", step.cotangent, step.value(1))
    if step.is_wild:
        quotient = step.op("where", step.op("equal", step.cotangent, 0.0), 0.0, quotient)
    step.send(0, quotient)


def _where(step):
    """The branch that is dropped gets exactly 0."""
    for k, chosen in ((1, (step.cotangent, 0.0)), (2, (0.0, step.cotangent))):
        if step.is_linear(k):
            step.send(k, step.op("where", step.value(0), *chosen))


def _interp(step):
    """Linear in the heights: each point's cotangent is shared by the two heights beside it."""
    places = np.arange(float(step.shape(2)[0]))
    number = step.op("interp", step.value(0), step.value(1), places)
    axes = tuple(range(len(step.node.shape)))

    def column(value):
        return step.op("reshape", value, attrs=((*step.node.shape, 1),))

    distance = step.op("abs", step.op("sub", column(number), places))
    share = step.op("maximum", step.op("sub", 1.0, distance), 0.0)
    step.send(2, step.op("sum", step.times(share, column(step.cotangent)), attrs=(axes,)))


def _sum(step):
    (axes,), shape = step.node.attrs, step.shape(0)
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    step.send(0, step.op("broadcast", step.op("reshape", step.cotangent, attrs=(kept,)), attrs=(shape,)))


def _cumsum(step):
    (axis,), shape = step.node.attrs, step.node.shape
    if not math.prod(shape):
        return
    ends = tuple(n - 1 if k == axis else 0 for k, n in enumerate(shape))
    window = (ends, shape, tuple(-1 if k == axis else 1 for k in range(len(shape))))
    flipped = step.op("slice", step.cotangent, attrs=window)
    step.send(0, step.op("slice", step.op("cumsum", flipped, attrs=(axis,)), attrs=window))


def _matmul(step):
    """Of ``y = a @ b``: ``c @ b.T`` and ``a.T @ c``, where vectors are rows on the left and columns on the right."""
    a, b = step.shape(0), step.shape(1)
    m, n, batch = a[-2:-1] or (1,), b[-1:] if len(b) > 1 else (1,), len(step.node.shape) - (len(a) > 1) - (len(b) > 1)
    cotangent = step.op("reshape", step.cotangent, attrs=((*step.node.shape[:batch], *m, *n),))
    if step.is_linear(0):
        right = step.op("reshape", step.value(1), attrs=((*b, 1) if len(b) == 1 else b,))
        found = _times_transposed(step, cotangent, right)
        step.send(0, found if len(a) > 1 else _drop(step, found, -2))
    if step.is_linear(1):
        left = step.op("reshape", step.value(0), attrs=((1, *a) if len(a) == 1 else a,))
        found = _transposed_times(step, left, cotangent)
        step.send(1, found if len(b) > 1 else _drop(step, found, -1))


def _times_transposed(step, c, b):
    """``c @ b.T``: an elementwise product for columns, ``b @ c`` for one row."""
    shape = step.walk.shape(c)
    if shape[-1] == 1:
        return step.op("mul", c, _transposed(step, b))
    if len(shape) == 2 and shape[0] == 1 and len(step.walk.shape(b)) == 2:
        product = step.op("matmul", b, step.op("reshape", c, attrs=(shape[1:],)))
        return step.op("reshape", product, attrs=((1, *step.walk.shape(product)),))
    return step.op("matmul", c, _transposed(step, b))


def _transposed_times(step, a, c):
    """``a.T @ c``: an elementwise product for rows, ``c @ a`` for one column."""
    shape = step.walk.shape(c)
    if shape[-2] == 1:
        return step.op("mul", _transposed(step, a), c)
    if len(shape) == 2 and shape[1] == 1 and len(step.walk.shape(a)) == 2:
        product = step.op("matmul", step.op("reshape", c, attrs=(shape[:1],)), a)
        return step.op("reshape", product, attrs=((*step.walk.shape(product), 1),))
    return step.op("matmul", _transposed(step, a), c)


def _transposed(step, x):
    rank = len(step.walk.shape(x))
    return step.op("transpose", x, attrs=((*range(rank - 2), rank - 1, rank - 2),))


def _drop(step, x, axis):
    """Without an axis of length 1."""
    shape = list(step.walk.shape(x))
    del shape[axis]
    return step.op("reshape", x, attrs=(tuple(shape),))


def _send_all(step):
    """Rule of ``broadcast`` and ``reshape``: sums over new axes, the shape of the argument."""
    if step.node.op == "reshape":
        step.walk.send(step.node.args[0], step.op("reshape", step.cotangent, attrs=(step.shape(0),)))
    else:
        step.send(0, step.cotangent)


def _transpose(step):
    (permutation,) = step.node.attrs
    step.send(0, step.op("transpose", step.cotangent, attrs=(tuple(np.argsort(permutation).tolist()),)))


def _pieces(step):
    """Rule of ``stack`` and ``concatenate``: to each argument what became of it."""
    axis = step.node.attrs[0] if step.node.op == "concatenate" else 0
    starts, lengths = [0] * len(step.node.shape), list(step.node.shape)
    for k in range(len(step.node.args)):
        lengths[axis] = step.shape(k)[axis] if step.node.op == "concatenate" else 1
        if step.is_linear(k):
            window = (tuple(starts), tuple(lengths), (1,) * len(starts))
            part = step.op("slice", step.cotangent, attrs=window)
            step.send(k, step.op("reshape", part, attrs=(step.shape(k),)))
        starts[axis] += lengths[axis]


def _slice(step):
    step.walk.send_part(step.node.args[0], step.node.attrs, step.cotangent)


def _update(step):
    if step.is_linear(0):
        step.send(0, step.op("update", step.cotangent, step.zeros(step.node.attrs[1]), attrs=step.node.attrs))
        step.walk.wild.add(step.node.args[0])
    if step.is_linear(1):
        step.send(1, step.op("slice", step.cotangent, attrs=step.node.attrs))


def _scatter(step):
    (indices,) = step.node.attrs
    if step.is_linear(0):
        step.send(0, step.op("scatter", step.cotangent, step.zeros((len(indices),)), attrs=step.node.attrs))
        step.walk.wild.add(step.node.args[0])
    if step.is_linear(1):
        step.send(1, step.op("gather", step.cotangent, attrs=(indices, (len(indices),))))


def _gather(step):
    """Each element gets the sum of what it went to."""
    indices, shape = np.array(step.node.attrs[0], dtype=np.int64), step.shape(0)
    size = math.prod(shape)
    padded = step.op(
        "concatenate", step.op("reshape", step.cotangent, attrs=((len(indices),),)), np.zeros(1), attrs=(0,)
    )
    total = step.zeros((size,))
    for targets, table in _sources(indices, size):
        taken = step.op("gather", padded, attrs=(tuple(table.ravel().tolist()), table.shape))
        total = step.op("scatter", total, step.op("sum", taken, attrs=((1,),)), attrs=(tuple(targets.tolist()),))
    if len(np.unique(indices)) < size:
        step.walk.wild.add(step.node.args[0])
    step.walk.send(step.node.args[0], step.op("reshape", total, attrs=(shape,)))


def _sources(indices, size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Elements taken, and the places where each went to, filled up with ``len(indices)``: by powers of two."""
    order, counts = np.argsort(indices, kind="stable"), np.bincount(indices, minlength=size)
    first = np.cumsum(counts) - counts
    width = 1
    while len(targets := np.flatnonzero(counts > width // 2)):
        targets = targets[counts[targets] <= width]
        places = np.arange(width) + first[targets][:, None]
        inside = np.arange(width) < counts[targets][:, None]
        if len(targets):
            yield targets, np.where(inside, order[np.where(inside, places, 0)], len(indices))
        width *= 2


# linear operation -> the rule that sends its cotangent on to its arguments
TRANSPOSES: dict[str, Callable[[_Step], None]] = {
    **{"add": _add, "sub": _sub, "neg": _neg, "mul": _mul, "zero_product": _mul, "div": _div},
    **{"where": _where, "interp": _interp, "sum": _sum, "cumsum": _cumsum, "matmul": _matmul},
    **{"reshape": _send_all, "broadcast": _send_all, "transpose": _transpose, "slice": _slice},
    **{"stack": _pieces, "concatenate": _pieces, "update": _update, "scatter": _scatter, "gather": _gather},
}
