"""The pass that makes a Program shorter without changing a bit of what it computes.

Dead nodes go; equal nodes become one; what has only constant arguments is computed, if the result is finite and not
larger than a few arguments together; and the local rules of ``rules.py`` and the update chains of ``updates.py`` are
applied, all of it until nothing changes. The one exception to bitwise equality is a power with a constant whole
exponent, which becomes ``integer_power`` and may be rounded otherwise.
"""

import numpy as np

from .evaluate import make_step
from .ops import Shape
from .program import Node, Origin, Program, ProgramBuilder
from .rewrite import remove_dead_nodes, rewrite_program
from .rules import RULES
from .updates import collapse_updates

_MOST_PASSES = 50  # each pass makes the Program smaller or is the last, so this is never reached


def simplify_program(program: Program) -> Program:
    """The same function, shorter: equal values for all inputs, NaN, infinity and the sign of zeros included."""
    for _ in range(_MOST_PASSES):
        before = program
        program = remove_dead_nodes(_apply_rules(program))
        program = remove_dead_nodes(collapse_updates(program))
        if program == before:
            break
    return program


def _apply_rules(program: Program) -> Program:
    """One walk with the local rules, common subexpressions and constants."""
    seen: dict[tuple, int] = {}

    def rule(builder, position, new):
        node = program.nodes[position]
        return Writer(builder, seen, node.origin).emit(node.op, tuple(new[i] for i in node.args), node.attrs)

    return rewrite_program(program, rule)


class Writer:
    """Records nodes in their simplest form: what the local rules write new Programs with."""

    def __init__(self, builder: ProgramBuilder, seen: dict[tuple, int], origin: Origin | None):
        self.builder = builder
        self.seen = seen
        self.origin = origin

    def node(self, position: int) -> Node:
        return self.builder.nodes[position]

    def shape(self, position: int) -> Shape:
        return self.builder.nodes[position].shape

    def constant(self, position: int) -> np.ndarray | None:
        """The value of a constant node, None for another."""
        node = self.builder.nodes[position]
        return self.builder.constants[node.attrs[0]] if node.op == "constant" else None

    def add_constant(self, value) -> int:
        return self.builder.constant(value)

    def emit(self, op: str, args: tuple[int, ...], attrs: tuple = ()) -> int:
        """Position of a node with this value: a new one, an old one or something simpler."""
        found = self._fold(op, args, attrs)
        for rule in RULES.get(op, ()):
            found = rule(self, args, attrs) if found is None else found
        if found is not None:
            return found
        key = (op, args, attrs)
        if key not in self.seen:
            self.seen[key] = self.builder.add(op, args, attrs, self.origin)
        return self.seen[key]

    def _fold(self, op, args, attrs):
        """A constant in place of an operation on constants."""
        values = [value for value in map(self.constant, args) if value is not None]
        if len(values) < len(args):
            return None
        with np.errstate(all="ignore"):
            result = np.asarray(make_step(Node(op, args, attrs, ()))(*values))
        if result.size > max(64, sum(np.size(value) for value in values)) or not np.isfinite(result).all():
            return None
        return self.add_constant(result)
