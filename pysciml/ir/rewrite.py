"""The walk that every pass over a Program shares: old nodes in, new nodes out, inputs and outputs kept."""

from collections.abc import Callable, Sequence

from .program import Program, ProgramBuilder

# (builder, old position, new positions of all earlier nodes) -> what stands for the node; None: the node as it is
Rule = Callable[[ProgramBuilder, int, list[int]], int | None]


def rewrite_program(program: Program, rule: Rule) -> Program:
    """A Program of the same inputs and outputs in which ``rule`` had its say on every node that isn't a leaf."""
    builder = ProgramBuilder()
    new: list[int] = []
    for position, node in enumerate(program.nodes):
        if node.op == "input":
            item = program.inputs[node.attrs[0]]
            new.append(builder.add_input(item.name, item.shape))
        elif node.op == "constant":
            new.append(builder.constant(program.constants[node.attrs[0]]))
        else:
            found = rule(builder, position, new)
            if found is None:
                found = builder.add(node.op, (new[i] for i in node.args), node.attrs, node.origin)
            new.append(found)
    return builder.build((output.name, new[output.node]) for output in program.outputs)


def inline_program(builder: ProgramBuilder, program: Program, arguments: Sequence[int]) -> list[int]:
    """Record a Program's nodes in ``builder``, on the nodes of its ``arguments``: the nodes of its outputs."""
    new: list[int] = []
    for node in program.nodes:
        if node.op == "input":
            new.append(arguments[node.attrs[0]])
        elif node.op == "constant":
            new.append(builder.constant(program.constants[node.attrs[0]]))
        else:
            new.append(builder.add(node.op, (new[i] for i in node.args), node.attrs, node.origin))
    return [new[output.node] for output in program.outputs]


def remove_dead_nodes(program: Program) -> Program:
    """The same Program without the nodes and constants that no output needs; inputs stay."""
    needed = [False] * len(program.nodes)
    for output in program.outputs:
        needed[output.node] = True
    for position in reversed(range(len(program.nodes))):
        if needed[position]:
            for i in program.nodes[position].args:
                needed[i] = True
    builder = ProgramBuilder()
    new: dict[int, int] = {}
    for position, node in enumerate(program.nodes):
        if node.op == "input":
            item = program.inputs[node.attrs[0]]
            new[position] = builder.add_input(item.name, item.shape)
        elif needed[position] and node.op == "constant":
            new[position] = builder.constant(program.constants[node.attrs[0]])
        elif needed[position]:
            new[position] = builder.add(node.op, (new[i] for i in node.args), node.attrs, node.origin)
    return builder.build((output.name, new[output.node]) for output in program.outputs)
