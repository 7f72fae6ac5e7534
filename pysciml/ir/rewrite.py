"""The walk that every pass over a Program shares: old nodes in, new nodes out, inputs and outputs kept."""

from collections.abc import Callable

from .program import Node, Program, ProgramBuilder

# (builder, node, new positions of its arguments) -> position of what stands for it; None: the node as it is
Rule = Callable[[ProgramBuilder, Node, tuple[int, ...]], int | None]


def rewrite_program(program: Program, rule: Rule) -> Program:
    """A Program of the same inputs and outputs in which ``rule`` had its say on every node that isn't a leaf."""
    builder = ProgramBuilder()
    new: list[int] = []
    for node in program.nodes:
        if node.op == "input":
            item = program.inputs[node.attrs[0]]
            new.append(builder.add_input(item.name, item.shape))
        elif node.op == "constant":
            new.append(builder.constant(program.constants[node.attrs[0]]))
        else:
            args = tuple(new[i] for i in node.args)
            position = rule(builder, node, args)
            new.append(builder.add(node.op, args, node.attrs, node.origin) if position is None else position)
    return builder.build((output.name, new[output.node]) for output in program.outputs)
