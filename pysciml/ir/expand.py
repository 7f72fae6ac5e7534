"""The pass that turns each ``network`` node into matrix products and activations."""

from .network import apply_network
from .program import Program, ProgramBuilder
from .rewrite import rewrite_program


def expand_networks(program: Program) -> Program:
    """The same function without ``network`` nodes; the nodes that replace one carry its origin."""

    def expand(builder: ProgramBuilder, position: int, new: list[int]) -> int | None:
        node = program.nodes[position]
        if node.op != "network":
            return None

        def op(name, *values, attrs=()):
            positions = [v.position if isinstance(v, _Recorded) else builder.constant(v) for v in values]
            return _Recorded(builder.add(name, positions, attrs, node.origin))

        return apply_network(op, node.attrs, *(_Recorded(new[i]) for i in node.args)).position

    return rewrite_program(program, expand)


class _Recorded:
    """A node of the new Program, told apart from the constants that activations are written with."""

    def __init__(self, position):
        self.position = position
