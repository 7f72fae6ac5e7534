"""The printer's pen: lines, loops, expressions, and where each array lies in working memory."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from ...ir.ops import BOOL, OPERATIONS
from ...ir.program import Program
from .printer_ops import index, literal, loop_names, spell, strip
from .printer_plan import Plan, align, c_strides, collapse, is_dense

INDEPENDENT, SUM = "@simd ivdep ", "@simd "  # iterations in any order; sums in any order
SHORT, VECTOR = 128, 8  # rows of numbers, and what is computed at a time
RIGHT_HAND_SIDE = (("t", "u", "p"), ("du",))


@dataclass
class Memory:
    """Working memory of one type: pieces that are free again are reused by arrays of the same length."""

    name: str
    length: int = 0
    free: dict[int, list[int]] = field(default_factory=dict)

    def take(self, size: int) -> int:
        if self.free.get(size):
            return self.free[size].pop()
        self.length += size
        return self.length - size

    def give(self, offset: int, size: int) -> None:
        self.free.setdefault(size, []).append(offset)


class LoopWriter:
    """Writes a Program's lines. ``place``: who owns memory -> an array's name and offset, or the text of a scalar.

    To the outputs named in ``added`` their values are added. Unless the text ``has_numbers``, it holds no constants.
    """

    def __init__(self, program: Program, added: Collection[str] = (), has_numbers: bool = True):
        self.program, self.nodes, self.has_numbers = program, program.nodes, has_numbers
        self.plan = Plan(program)
        self.lines: list[str] = []
        self.depth = 2
        self.place: dict[int, tuple[str, int] | str] = {}
        self.numbers, self.booleans = Memory("q"), Memory("b")
        self.constants: list[np.ndarray] = []
        self.flags: list[np.ndarray] = []
        self.indices: list[int] = []
        self.input_names, self.output_names = _position_names(program)
        outputs = zip(self.output_names, program.outputs, strict=True)
        self.added = {name for name, output in outputs if output.name in added}
        self.claims = self._claim_outputs()
        self._n_locals = 0
        self._expiring: dict[int, list[int]] = {}
        for owner, last in self.plan.last.items():
            self._expiring.setdefault(last, []).append(owner)

    def _claim_outputs(self):
        """Owner -> the output whose memory it may use at once."""
        claims: dict[int, str] = {}
        for name, output in zip(self.output_names, self.program.outputs, strict=True):
            node, where = self.nodes[output.node], self.plan.where[output.node]
            owner = self.nodes[where.owner]
            whole = where.offset == 0 and node.size == owner.size and is_dense(where.strides, node.shape)
            if whole and owner.shape and OPERATIONS[owner.op].kind != "leaf" and owner.dtype != BOOL:
                if name not in self.added or self._is_written_once(where.owner):
                    claims.setdefault(where.owner, name)
        return claims

    def _is_written_once(self, owner):
        """Whether each element of an output is written once and never read, so that it may as well be added."""
        members, op = self.plan.members[owner], self.nodes[owner].op
        return (
            (OPERATIONS[op].kind == "elementwise" or op in ("stack", "concatenate"))
            and members[1:] == [i for i in members if self.plan.is_view(i)]
            and all(c in members for i in members for c in self.plan.consumers[i])
            and sum(output.node in members for output in self.program.outputs) == 1
        )

    def _memory(self, i):
        return self.booleans if self.nodes[i].dtype == BOOL else self.numbers

    def new(self, i: int) -> tuple[str, int]:
        """Memory for a node's elements: name and offset."""
        claim, memory = self.claims.get(i), self._memory(i)
        self.place[i] = place = (claim, 0) if claim else (memory.name, memory.take(self.nodes[i].size))
        return place

    def new_local(self, i: int) -> str:
        """The name of a local variable for a scalar node."""
        self.place[i] = name = self.accumulator(False)
        return name

    def accumulator(self, is_in_loop: bool) -> str:
        """The name of a running sum: one for all loops, a fresh one (it may have another type) outside."""
        if is_in_loop:
            return "s"
        self._n_locals += 1
        return f"s{self._n_locals}"

    def free_after(self, i: int) -> None:
        """Give back the memory that nothing reads after node i."""
        for owner in self._expiring.get(i, ()):
            place = self.place.get(owner)
            for memory in (self.numbers, self.booleans):
                if isinstance(place, tuple) and place[0] == memory.name:
                    memory.give(place[1], self.nodes[owner].size)

    def address(self, i: int) -> tuple[str, int, tuple[int, ...]]:
        """Array, offset and strides of a node that must lie in memory."""
        where = self.plan.where[i]
        place = self.place[where.owner]
        if isinstance(place, tuple):
            return place[0], place[1] + where.offset, where.strides
        memory = self._memory(i)
        offset = memory.take(1)
        self.line(f"{memory.name}[{index(offset, (), ())}] = {place}")
        return memory.name, offset, (0,) * len(self.nodes[i].shape)

    def dense_address(self, i: int) -> tuple[str, int, tuple[int, ...]]:
        """Array, offset and strides of a node's elements in C order, copied there if need be."""
        name, offset, strides = self.address(i)
        node = self.nodes[i]
        if not is_dense(strides, node.shape):
            memory = self._memory(i)
            name, offset = memory.name, memory.take(node.size)
            self.assign(name, offset, c_strides(node.shape), i)
        return name, offset, c_strides(node.shape)

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def open(self, sizes, names, simd: str = "") -> None:
        """Open nested loops, the innermost with a word for the compiler."""
        for k, (size, name) in enumerate(zip(sizes, names, strict=True)):
            self.line(f"{simd if k == len(sizes) - 1 else ''}for {name} in 1:{size}")
            self.depth += 1

    def close(self, sizes) -> None:
        """Close as many loops."""
        for _ in sizes:
            self.depth -= 1
            self.line("end")

    def leaves(self, i: int) -> list[int]:
        """The nodes whose elements are read where node i is needed: itself, or what it is computed from there."""
        return self.operands(i) if i in self.plan.fused else [i]

    def operands(self, i: int) -> list[int]:
        """The nodes whose elements are read to compute node i in a loop."""
        found = (leaf for a in self.plan.loop_arguments(i) for leaf in self.leaves(a))
        return list(dict.fromkeys(found))

    def element(self, i: int, strides: tuple[int, ...], names: tuple[str, ...]) -> str:
        """One element of a node that has been computed, by loop variables."""
        where = self.plan.where[i]
        place = self.place[where.owner]
        if isinstance(place, str):
            return place
        owner = self.nodes[where.owner]
        if self.has_numbers and owner.op == "constant" and _is_uniform(self.program.constants[owner.attrs[0]]):
            return literal(self.program.constants[owner.attrs[0]].flat[0])
        return f"{place[0]}[{index(place[1] + where.offset, strides, names)}]"

    def expression(self, i: int, texts: dict[int, str]) -> str:
        """Node i as an expression of the texts of its leaves."""
        if i in texts:
            return texts[i]
        node = self.nodes[i]
        arguments = [
            (None if a in texts else self.nodes[a].op, self.expression(a, texts)) for a in self.plan.loop_arguments(i)
        ]
        attr = ""
        if node.op == "integer_power":
            attr = str(node.attrs[0]) if node.attrs[0] >= 0 else f"({node.attrs[0]})"
        elif node.op == "interp":
            tables = (self.dense_address(a) for a in node.args[1:])
            attr = ", ".join(f"{name}, {offset}" for name, offset, _ in tables) + f", {self.nodes[node.args[1]].size}"
        return spell(node.op, arguments, attr)

    def compute(self, i: int) -> None:
        """Write an elementwise node: a loop over its shape, or a local if it's a scalar."""
        if self.nodes[i].shape:
            name, offset = self.new(i)
            if self._has_short_rows(i) and name not in self.added:
                self.assign(name, offset, c_strides(self.nodes[i].shape), *self.plan.loop_arguments(i))
                self.open([self.nodes[i].size], loop_names(1), simd=INDEPENDENT)
                element = f"{name}[{index(offset, (1,), loop_names(1))}]"
                self.line(f"{element} = {spell(self.nodes[i].op, [(None, element)], '')}")
                self.close(["i"])
                return
            self._loop(name, offset, c_strides(self.nodes[i].shape), i, self.nodes[i].shape, self.operands(i))
        else:
            texts = {leaf: self.element(leaf, (), ()) for leaf in self.operands(i)}
            value = strip(self.expression(i, texts))
            self.line(f"{self.new_local(i)} = {value}")

    def _has_short_rows(self, i):
        """Whether a tanh would be computed in rows whose ends fill no vector: quicker in a sweep of its own."""
        node = self.nodes[i]
        a, row = node.args[0], node.shape[-1]
        is_swept = node.op == "tanh" and a in self.plan.fused and self.nodes[a].shape == node.shape
        return is_swept and row < min(node.size, SHORT) and row % VECTOR != 0

    def assign(self, name: str, offset: int, strides: tuple[int, ...], i: int, shape: tuple[int, ...] | None = None):
        """Write the elements of node i, computed there if they haven't been, into a part of an array."""
        self._loop(name, offset, strides, i, self.nodes[i].shape if shape is None else shape, self.leaves(i))

    def _loop(self, name, offset, strides, i, shape, leaves):
        read = [align(self.plan.where[leaf].strides, self.nodes[leaf].shape, shape) for leaf in leaves]
        sizes, (target, *rest) = collapse(shape, [strides, *read])
        names = loop_names(len(sizes))
        texts = {leaf: self.element(leaf, s, names) for leaf, s in zip(leaves, rest, strict=True)}
        hoisted = self._hoist(texts, dict(zip(leaves, rest, strict=True)))
        value, adds = strip(self.expression(i, texts)), name in self.added
        if adds and value == "0.0":
            return
        self.open(sizes[:-1], names[:-1])
        for local, text in hoisted:
            self.line(f"{local} = {text}")
        self.open(sizes[-1:], names[-1:], simd=INDEPENDENT)
        self.line(f"{name}[{index(offset, target, names)}] {'+=' if adds else '='} {value}")
        self.close(sizes)

    def _hoist(self, texts, strides):
        """Names in the place of elements that the innermost loop reads again and again, to be given before it."""
        hoisted = []
        for leaf, text in texts.items():
            if strides[leaf][-1:] == (0,) and text.endswith("]"):
                texts[leaf] = self.accumulator(False)
                hoisted.append((texts[leaf], text))
        return hoisted


def _position_names(program):
    """Names of inputs and outputs in the text: a right-hand side's own, else by position; never a user's."""
    names = tuple(item.name for item in program.inputs), tuple(item.name for item in program.outputs)
    if names == RIGHT_HAND_SIDE:
        return names
    return tuple(f"x{k + 1}" for k in range(len(names[0]))), tuple(f"y{k + 1}" for k in range(len(names[1])))


def _is_uniform(value):
    """Whether all elements have the same bits."""
    bits = np.ravel(value).view(np.int8 if value.dtype == np.bool_ else np.int64)
    return bits.size > 0 and bool((bits == bits[0]).all())
