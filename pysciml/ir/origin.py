"""The pass that counts a right-hand side's time from an origin, so that short numbers resolve it."""

from .program import Program, ProgramBuilder
from .rewrite import inline_program


def uses_time(program: Program) -> bool:
    """Whether a right-hand side depends on its input ``t``."""
    used = {argument for node in program.nodes for argument in node.args} | {output.node for output in program.outputs}
    return any(program.nodes[k].op == "input" and program.inputs[program.nodes[k].attrs[0]].name == "t" for k in used)


def count_from_origin(program: Program) -> Program:
    """The same right-hand side of the time since an origin, which is one parameter more, behind all others."""
    _, (n,), (m,) = (item.shape for item in program.inputs)
    builder = ProgramBuilder()
    since, u, p = builder.add_input("t", ()), builder.add_input("u", (n,)), builder.add_input("p", (m + 1,))
    origin = builder.add("reshape", (builder.add("slice", (p,), ((m,), (1,), (1,))),), ((),))
    parameters = builder.add("slice", (p,), ((0,), (m,), (1,)))
    (du,) = inline_program(builder, program, [builder.add("add", (since, origin)), u, parameters])
    return builder.build([("du", du)])
