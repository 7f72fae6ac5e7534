"""States with their tangents behind them: right-hand sides, observables and start values of both together."""

import numpy as np

from ..ir.derivatives import TANGENT, jvp
from ..ir.expand import expand_networks
from ..ir.lanes import batch_program
from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program


def with_tangents(program: Program, seeds: np.ndarray) -> Program:
    """A function of ``t, u (n,), p (m,)`` together with its products with k tangents.

    Parameters
    ----------
    program : Program
        Its output is ``y (l,)``.
    seeds : array, shape (k, m)
        Tangents of the parameters.

    Returns
    -------
    Program
        ``u (n + k n,)`` holds a state and its k tangents, one after the other; the output ``(l + k l,)`` likewise.
    """
    (n,), (m,) = program.inputs[1].shape, program.inputs[2].shape
    k, name = len(seeds), program.outputs[0].name
    lanes = batch_program(expand_networks(jvp(program, ["u", "p"])), [TANGENT + "u", TANGENT + "p"], k)
    builder = ProgramBuilder()
    t, z, p = builder.add_input("t", ()), builder.add_input("u", (n + k * n,)), builder.add_input("p", (m,))
    u = part(builder, z, 0, n)
    tangents = builder.add("reshape", (part(builder, z, n, k * n),), ((k, n),))
    (y,) = inline_program(builder, program, [t, u, p])
    (found,) = inline_program(builder, lanes, [t, u, p, tangents, builder.constant(seeds)])
    flat = builder.add("reshape", (found,), ((k * program.nodes[program.outputs[0].node].size,),))
    return simplify_program(builder.build([(name, builder.add("concatenate", (y, flat), (0,)))]))


def with_tangent(program: Program) -> Program:
    """The same for one tangent, of parameters ``p (2 m,)`` that have theirs behind them."""
    (n,), (m,) = program.inputs[1].shape, program.inputs[2].shape
    builder = ProgramBuilder()
    t, z, q = builder.add_input("t", ()), builder.add_input("u", (2 * n,)), builder.add_input("p", (2 * m,))
    u, du, p, dp = part(builder, z, 0, n), part(builder, z, n, n), part(builder, q, 0, m), part(builder, q, m, m)
    (y,) = inline_program(builder, program, [t, u, p])
    (dy,) = inline_program(builder, jvp(program, ["u", "p"]), [t, u, p, du, dp])
    return simplify_program(builder.build([(program.outputs[0].name, builder.add("concatenate", (y, dy), (0,)))]))


def parametrize_tangent(parametrization: Program) -> Program:
    """From ``x (2 k,)``, a point and a direction: ``u0 (2 n,)`` and ``p (2 m,)`` with their tangents behind them."""
    (k,) = parametrization.inputs[0].shape
    builder = ProgramBuilder()
    x = builder.add_input("x", (2 * k,))
    point, direction = part(builder, x, 0, k), part(builder, x, k, k)
    values = inline_program(builder, parametrization, [point])
    tangents = inline_program(builder, jvp(parametrization, ["x"]), [point, direction])
    pairs = zip(parametrization.outputs, values, tangents, strict=True)
    return builder.build([(output.name, builder.add("concatenate", pair, (0,))) for output, *pair in pairs])


def part(builder: ProgramBuilder, node: int, start: int, length: int) -> int:
    """Elements of a vector."""
    return builder.add("slice", (node,), ((start,), (length,), (1,)))
