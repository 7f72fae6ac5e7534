"""The pass that turns each ``network`` node into matrix products and activations."""

from .network import apply_network
from .program import Node, Program, ProgramBuilder
from .rewrite import rewrite_program


def expand_networks(program: Program) -> Program:
    """The same function without ``network`` nodes; the nodes that replace one carry its origin."""
    return rewrite_program(program, _expand)


def _expand(builder: ProgramBuilder, node: Node, args: tuple[int, ...]) -> int | None:
    if node.op != "network":
        return None

    def op(name, *values, attrs=()):
        positions = [v.position if isinstance(v, _Recorded) else builder.constant(v) for v in values]
        return _Recorded(builder.add(name, positions, attrs, node.origin))

    return apply_network(op, node.attrs, *map(_Recorded, args)).position


class _Recorded:
    """A node of the new Program, told apart from the constants that activations are written with."""

    def __init__(self, position):
        self.position = position
