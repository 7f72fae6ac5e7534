"""Program -> Julia text of a function of whole arrays, for a device: products of matrices, and the rest by broadcasts.

The function takes the inputs, in the Program's order, and all constants one after the other: numbers, flags and
indices. It gives the outputs as a tuple. Arrays have their axes in reverse, so that they lie in memory as in C order;
what has no axes is an array of one element, or a number where it depends on the time and constants only. The functions
``np_...`` of arrays are in ``julia/src/arrays.jl``.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

from ...errors import UnsupportedByEngine
from ...ir.expand import expand_networks
from ...ir.ops import BOOL, OPERATIONS
from ...ir.program import Program
from ...ir.simplify import simplify_program
from .printer import PrintedProgram
from .printer_ops import ELEMENTWISE, literal

MOST_FUSED = 16  # operations in one broadcast: each makes a kernel of its own, which is compiled


def print_arrays(program: Program) -> PrintedProgram:
    """The Julia text of a Program, with its constants.

    Raises
    ------
    UnsupportedByEngine
        For an operation that has no form of whole arrays here.
    """
    writer = ArrayWriter(simplify_program(expand_networks(program)))
    for i in range(len(writer.nodes)):
        writer.print_node(i)
    outputs = "".join(f"{writer.array(output.node)}, " for output in writer.program.outputs)
    names = ", ".join(item.name for item in writer.program.inputs)
    lines = [f"function ({names}, c, cb, ix)", *writer.lines, f"    return ({outputs})", "end", ""]
    return PrintedProgram(
        "\n".join(lines),
        np.concatenate([np.zeros(0), *map(np.ravel, writer.constants)]),
        np.concatenate([np.zeros(0, bool), *map(np.ravel, writer.flags)]),
        np.array(writer.indices, dtype=np.int64),
        0,
        0,
    )


class ArrayWriter:
    """The text of each node: a name, or an expression that goes into the broadcast where it is used."""

    def __init__(self, program: Program):
        self.program, self.nodes = program, program.nodes
        self.lines: list[str] = []
        self.texts: list[str] = []
        self.constants: list[np.ndarray] = []
        self.flags: list[np.ndarray] = []
        self.indices: list[int] = []
        self._fused: dict[int, int] = {}  # operations in texts that are expressions
        self._is_number: list[bool] = []
        self._like = next(item.name for item in program.inputs if item.shape)
        users: list[list[int]] = [[] for _ in self.nodes]
        for i, node in enumerate(self.nodes):
            for k in node.args:
                users[k].append(i)
        kept = Counter(output.node for output in program.outputs)
        self._user = [self.nodes[own[0]] if len(own) == 1 and i not in kept else None for i, own in enumerate(users)]
        self._is_turned = [  # read by products of matrices only, which take it as it lies
            node.op == "transpose"
            and node.attrs == ((1, 0),)
            and i not in kept
            and all(self.nodes[k].op == "matmul" and self._is_flat(k) for k in users[i])
            for i, node in enumerate(self.nodes)
        ]

    def _is_flat(self, i):
        return all(len(self.nodes[k].shape) <= 2 for k in self.nodes[i].args)

    def print_node(self, i: int) -> None:
        """Its text, behind the lines that it needs."""
        node = self.nodes[i]
        leaf = node.op in ("input", "constant")
        elementwise = node.op in ELEMENTWISE and node.op != "interp"
        self._is_number.append(not node.shape and (leaf or elementwise) and all(self._is_number[k] for k in node.args))
        if leaf:
            self.texts.append(self._leaf(i))
        elif self._is_turned[i]:
            self.texts.append("")  # see factor
        elif elementwise:
            self._print_elementwise(i)
        elif node.op in WHOLE:
            self.texts.append(self._local(i, WHOLE[node.op](self, node)))
        else:
            raise UnsupportedByEngine(
                f"engine 'julia' with device='gpu' does not support the operation {node.op!r}, which has no form of "
                "whole arrays there; engine='diffrax' has it"
            )

    def _leaf(self, i):
        node = self.nodes[i]
        if node.op == "input":
            return self.program.inputs[node.attrs[0]].name
        value = self.program.constants[node.attrs[0]]
        if not node.shape:
            return literal(value[()])
        name, kept = ("cb", self.flags) if node.dtype == BOOL else ("c", self.constants)
        start = sum(constant.size for constant in kept)
        kept.append(value)
        return self._local(i, f"reshape(view({name}, {start + 1}:{start + value.size}), {size_text(node.shape)})")

    def _print_elementwise(self, i):
        """A line, or an expression where its one user is elementwise too and of its shape."""
        node, user = self.nodes[i], self._user[i]
        attr = f"({node.attrs[0]})" if node.op == "integer_power" else ""
        text = ELEMENTWISE[node.op].format(*(self.texts[k] for k in node.args), attr=attr)
        count = 1 + sum(self._fused.pop(k, 0) for k in node.args)
        can_wait = user is not None and user.op in ELEMENTWISE and user.op != "interp" and user.shape == node.shape
        if can_wait and count < MOST_FUSED:
            self._fused[i] = count
            self.texts.append(text)
        else:
            self.texts.append(self._local(i, f"@. {text}"))

    def _local(self, i, text):
        self.lines.append(f"    a{i} = {text}")
        return f"a{i}"

    def array(self, i: int) -> str:
        """A node as an array."""
        return f"np_fill({self._like}, {self.texts[i]}, (1,))" if self._is_number[i] else self.texts[i]

    def fill(self, i: int, shape: tuple) -> str:
        """A node broadcast to a shape."""
        return f"np_fill({self._like}, {self.texts[i]}, {size_text(shape)})"

    def factor(self, i: int) -> str:
        """A node as a factor of a product of matrices."""
        node = self.nodes[i]
        return f"transpose({self.array(node.args[0])})" if self._is_turned[i] else self.array(i)

    def table(self, indices) -> str:
        """Indices, kept as constants."""
        start = len(self.indices)
        self.indices.extend(k + 1 for k in indices)
        return f"view(ix, {start + 1}:{len(self.indices)})"


def size_text(shape: tuple) -> str:
    """The size of an array of a shape: its axes in reverse, one element where there is none."""
    return f"({', '.join(map(str, reversed(shape or (1,))))},)"


def _ranges(starts, lengths, steps):
    """Text of the indices of a window."""
    parts = []
    for start, length, step in zip(starts, lengths, steps, strict=True):
        by = "" if step == 1 else f"{step}:"
        parts.append(f"{start + 1}:{by}{start + 1 + (length - 1) * step}" if length else "1:0")
    return ", ".join(reversed(parts))


def _reduce(function):
    def reduce(writer, node):
        (argument,), (axes,) = node.args, node.attrs
        rank = len(writer.nodes[argument].shape)
        dims = ", ".join(str(rank - axis) for axis in axes)
        value = writer.array(argument)
        return f"reshape({function}({value}; dims = ({dims},)), {size_text(node.shape)})" if axes else value

    return reduce


def _matmul(writer, node):
    a, b = node.args
    left, right = writer.nodes[a].shape, writer.nodes[b].shape
    if len(left) > 2 or len(right) > 2:
        rows = left if len(left) > 1 else (1, *left)
        columns = right if len(right) > 1 else (*right, 1)
        arguments = (f"reshape({writer.array(k)}, {size_text(s)})" for k, s in ((a, rows), (b, columns)))
        return f"reshape(np_products({', '.join(arguments)}), {size_text(node.shape)})"
    if len(right) == 2:
        return f"{writer.factor(b)} * {writer.factor(a)}"
    turned = f"transpose({writer.factor(a)})" if len(left) == 2 else f"reshape({writer.array(a)}, 1, :)"
    return f"{turned} * {writer.array(b)}"


def _transpose(writer, node):
    (permutation,), rank = node.attrs, len(node.shape)
    places = ", ".join(str(rank - permutation[rank - 1 - k]) for k in range(rank))
    return f"permutedims({writer.array(node.args[0])}, ({places},))" if rank > 1 else writer.array(node.args[0])


def _join(writer, node):
    parts = ", ".join(writer.array(k) for k in node.args)
    dim = len(node.shape) - node.attrs[0] if node.op == "concatenate" else len(node.shape)
    if dim == len(node.shape):  # one after the other in memory
        return f"reshape(np_join({parts}), {size_text(node.shape)})"
    return f"np_join_along({dim}, {parts})"


def _slice(writer, node):
    (argument,), (starts, lengths, steps) = node.args, node.attrs
    ranges = _ranges(starts, lengths, steps)
    if not node.shape:
        return writer.array(argument)
    if len(node.shape) == 1 and steps == (1,):
        return f"view({writer.array(argument)}, {ranges})"
    return f"{writer.array(argument)}[{ranges}]"


def _update(writer, node):
    base, value = map(writer.array, node.args)
    return f"np_update({base}, {value}, {_ranges(*node.attrs) or '1:1'})"


def _gather(writer, node):
    return f"reshape(vec({writer.array(node.args[0])})[{writer.table(node.attrs[0])}], {size_text(node.shape)})"


def _scatter(writer, node):
    base, values = map(writer.array, node.args)
    return f"np_scatter({base}, {values}, {writer.table(node.attrs[0])})"


# operation -> the text of its value
WHOLE: dict[str, Callable] = {
    **{name: _reduce(function) for name, function in (("sum", "sum"), ("prod", "prod"))},
    **{"max": _reduce("maximum"), "min": _reduce("minimum"), "matmul": _matmul, "transpose": _transpose},
    "reshape": lambda writer, node: f"reshape({writer.array(node.args[0])}, {size_text(node.shape)})",
    "broadcast": lambda writer, node: writer.fill(node.args[0], node.shape),
    **{"stack": _join, "concatenate": _join, "slice": _slice, "update": _update},
    **{"gather": _gather, "scatter": _scatter},
}
assert WHOLE.keys() | ELEMENTWISE.keys() <= OPERATIONS.keys()
