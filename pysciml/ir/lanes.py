"""The pass that evaluates a Program for several values of some of its inputs at once, over a new leading axis.

What does not depend on those inputs is computed once for all lanes.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import numpy as np

from .expand import expand_networks
from .ops import OPERATIONS
from .program import Program, ProgramBuilder
from .rewrite import inline_program
from .simplify import Writer, simplify_program


def batch_program(program: Program, names: Iterable[str], size: int) -> Program:
    """The same function of inputs ``names`` with a leading axis of length ``size``; all outputs have it.

    The Program must have no ``network`` nodes: expand them first.
    """
    names = set(names)
    builder = ProgramBuilder(
        (item if item.name not in names else type(item)(item.name, (size, *item.shape))) for item in program.inputs
    )
    work = _Batch(program, builder, size)
    for position, node in enumerate(program.nodes):
        if node.op == "input":
            work.add(node.attrs[0], program.inputs[node.attrs[0]].name in names)
        elif node.op == "constant":
            work.add(builder.constant(program.constants[node.attrs[0]]), False)
        else:
            work.apply(position, node)
    outputs = [(output.name, work.spread(output.node)) for output in program.outputs]
    return builder.build(outputs)


def widen_program(program: Program, lanes: int, varied: Sequence[int]) -> Program:
    """A function ``(t, u, p) -> vector`` of several states at once, which have all lanes of the first element first.

    So has what it gives. Of the parameters those at the places ``varied`` have lanes: first come the others, which are
    the same for all, then these. Neighbours in memory are then neighbours in a loop over lanes.
    """
    program = simplify_program(expand_networks(program))
    _, (n,), (m,) = (item.shape for item in program.inputs)
    split, names = _split_parameters(program, m, set(varied))
    many = batch_program(split, ("u", "varied"), lanes)
    builder = ProgramBuilder()

    def with_lanes(flat, size):
        rows = builder.add("reshape", (flat,), ((size, lanes),))
        return builder.add("transpose", (rows,), ((1, 0),))

    n_shared, n_varied = m - len(varied), len(varied)
    sizes = (("t", ()), ("u", (n * lanes,)), ("p", (n_shared + n_varied * lanes,)))
    t, u, p = (builder.add_input(name, shape) for name, shape in sizes)
    arguments = [t, with_lanes(u, n)]
    for name in names:
        window = (0, n_shared) if name == "shared" else (n_shared, n_varied * lanes)
        piece = builder.add("slice", (p,), (*((k,) for k in window), (1,)))
        arguments.append(piece if name == "shared" else with_lanes(piece, n_varied))
    (y,) = inline_program(builder, many, arguments)
    node = builder.nodes[y]
    parts = node.args if node.op == "concatenate" and node.attrs == (1,) else (y,)  # each is written where it belongs
    flat = builder.add("concatenate", [_flatten_lanes(builder, part) for part in parts], (0,))
    return simplify_program(builder.build([(program.outputs[0].name, flat)]))


def _split_parameters(program, m, varied):
    """The same function with the parameters that have lanes as an input of their own, and names of such inputs."""
    builder = ProgramBuilder(program.inputs[:2])
    sizes = {"shared": m - len(varied), "varied": len(varied)}
    kept = [name for name, size in sizes.items() if size] or ["shared"]
    inputs = {name: builder.add_input(name, (sizes[name],)) for name in kept}
    parts, start = [], dict.fromkeys(sizes, 0)
    for is_varied, places in groupby(range(m), lambda i: i in varied):
        name, count = "varied" if is_varied else "shared", len(list(places))
        parts.append(builder.add("slice", (inputs[name],), ((start[name],), (count,), (1,))))
        start[name] += count
    p = builder.add("concatenate", parts, (0,)) if parts else inputs["shared"]
    outputs = inline_program(builder, program, [0, 1, p])
    names = [(output.name, node) for output, node in zip(program.outputs, outputs, strict=True)]
    return simplify_program(builder.build(names)), tuple(inputs)


def _flatten_lanes(builder, i):
    """Rows of lanes as one vector, all lanes of the first column first."""
    lanes, columns = builder.nodes[i].shape
    turned = i if columns == 1 else builder.add("transpose", (i,), ((1, 0),))
    return builder.add("reshape", (turned,), ((lanes * columns,),))


class _Batch:
    """New positions of nodes, and which of them have lanes."""

    def __init__(self, program, builder, size):
        self.program, self.size = program, size
        self.writer = Writer(builder, {}, None)
        self.new: list[int] = []
        self.has_lanes: list[bool] = []

    def add(self, position: int, has_lanes: bool) -> None:
        self.new.append(position)
        self.has_lanes.append(has_lanes)

    def apply(self, position, node) -> None:
        self.writer.origin = node.origin
        has_lanes = any(self.has_lanes[i] for i in node.args)
        if has_lanes:
            self.add(RULES[node.op](self, node), True)
        else:
            self.add(self.op(node.op, *(self.new[i] for i in node.args), attrs=node.attrs), False)

    def op(self, name, *args, attrs=()) -> int:
        return self.writer.emit(name, args, attrs)

    def shape(self, i: int) -> tuple[int, ...]:
        """The shape of a node without lanes."""
        return self.program.nodes[i].shape

    def reshaped(self, i: int, shape) -> int:
        """A node with a new shape behind the lanes, if it has them."""
        lanes = (self.size,) if self.has_lanes[i] else ()
        return self.op("reshape", self.new[i], attrs=((*lanes, *shape),))

    def ranked(self, i: int, rank: int) -> int:
        """A node that broadcasts with others of the given rank behind the lanes."""
        shape = self.shape(i)
        return self.reshaped(i, (1,) * (rank - len(shape)) + shape) if self.has_lanes[i] else self.new[i]

    def spread(self, i: int) -> int:
        """A node with lanes, made if need be."""
        if self.has_lanes[i]:
            return self.new[i]
        return self.op("broadcast", self.new[i], attrs=((self.size, *self.shape(i)),))


def _elementwise(work, node):
    rank = len(node.shape)
    found = work.op(node.op, *(work.ranked(i, rank) for i in node.args), attrs=node.attrs)
    return work.op("broadcast", found, attrs=((work.size, *node.shape),))


def _interp(work, node):
    """At once if the tables have no lanes, else lane by lane."""
    x, *tables = node.args
    if not any(work.has_lanes[i] for i in tables):
        return work.op("interp", *(work.new[i] for i in node.args))

    def lane(i, k):
        if not work.has_lanes[i]:
            return work.new[i]
        n = len(work.shape(i))
        one = work.op("slice", work.new[i], attrs=((k,) + (0,) * n, (1, *work.shape(i)), (1,) * (n + 1)))
        return work.op("reshape", one, attrs=(work.shape(i),))

    return work.op("stack", *(work.op("interp", *(lane(i, k) for i in node.args)) for k in range(work.size)))


def _reduction(work, node):
    return work.op(node.op, work.new[node.args[0]], attrs=(tuple(axis + 1 for axis in node.attrs[0]),))


def _along(work, node):
    """Operations along one axis."""
    return work.op(node.op, *map(work.spread, node.args), attrs=(node.attrs[0] + 1,))


def _matmul(work, node):
    """Lanes are one more leading axis; a product of rows with one matrix stays one product."""
    a, b = node.args
    rank_a, rank_b = len(work.shape(a)), len(work.shape(b))
    if not work.has_lanes[b] and rank_b <= 2:
        return work.op("matmul", work.new[a], work.new[b])
    rank = max(rank_a, rank_b, 2)
    left = (1, *work.shape(a)) if rank_a == 1 else work.shape(a)
    right = (*work.shape(b), 1) if rank_b == 1 else work.shape(b)
    left, right = (
        work.reshaped(i, (1,) * (rank - len(shape)) + shape if work.has_lanes[i] else shape)
        for i, shape in ((a, left), (b, right))
    )
    return work.op("reshape", work.op("matmul", left, right), attrs=((work.size, *node.shape),))


def _reshape(work, node):
    return work.reshaped(node.args[0], node.shape)


def _broadcast(work, node):
    return work.op("broadcast", work.ranked(node.args[0], len(node.shape)), attrs=((work.size, *node.shape),))


def _transpose(work, node):
    return work.op("transpose", work.new[node.args[0]], attrs=((0, *(axis + 1 for axis in node.attrs[0])),))


def _stack(work, node):
    parts = [work.op("reshape", work.spread(i), attrs=((work.size, 1, *work.shape(i)),)) for i in node.args]
    return work.op("concatenate", *parts, attrs=(1,))


def _window(work, node):
    starts, lengths, steps = node.attrs
    attrs = ((0, *starts), (work.size, *lengths), (1, *steps))
    return work.op(node.op, *map(work.spread, node.args), attrs=attrs)


def _lane_indices(work, indices, stride):
    return tuple((np.arange(work.size)[:, None] * stride + np.array(indices, dtype=np.int64)).ravel().tolist())


def _gather(work, node):
    (indices, shape), (i,) = node.attrs, node.args
    indices = _lane_indices(work, indices, work.program.nodes[i].size)
    return work.op("gather", work.new[i], attrs=(indices, (work.size, *shape)))


def _scatter(work, node):
    base, values = map(work.spread, node.args)
    indices = _lane_indices(work, node.attrs[0], node.size)
    return work.op("scatter", base, work.op("reshape", values, attrs=((len(indices),),)), attrs=(indices,))


# operation -> the node that stands for a node of which some argument has lanes
RULES: dict[str, Callable] = {
    **{name: _elementwise for name, row in OPERATIONS.items() if row.kind == "elementwise"},
    **dict.fromkeys(("sum", "prod", "max", "min"), _reduction),
    **dict.fromkeys(("cumsum", "concatenate"), _along),
    **dict.fromkeys(("slice", "update"), _window),
    **{"interp": _interp, "matmul": _matmul, "reshape": _reshape, "broadcast": _broadcast},
    **{"transpose": _transpose, "stack": _stack, "gather": _gather, "scatter": _scatter},
}
