"""The ends of ``t_span`` as elements of x: what they do to a loss, to first order.

The step sizes are held fixed. A solution that begins at ``t0 + s`` is at ``u0 - s f(t0, u0)`` at ``t0``, so that the
slope by ``t0`` is minus the cotangent of the state there times f. Data keep their times, except for data at an end,
which move with it: those at ``t1 + s`` see ``u(t1) + s f(t1, u)``, which gives the slope by ``t1``, and those at ``t0``
see ``u0``.
"""

from dataclasses import replace

import numpy as np

from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program
from ..problems.doses import widen_parameters
from ..requests import ObjectiveRequest

NAME = "t_span"  # among the names that a gradient is by


def with_ends(request: ObjectiveRequest, t_span: tuple[float, float]) -> ObjectiveRequest:
    """The objective as a function of x and, behind it, of how far the start and the end of ``t_span`` have moved.

    It is exact to first order where both are 0. They reach the observables as two more parameters.
    """
    solve, program = request.solve, request.solve.program
    has_datum = np.isin(solve.saveat, t_span).any()
    observe = request.observe
    if observe is not None or has_datum:
        observe = _moved_observables(program, observe, t_span)
    wide = replace(solve, program=widen_parameters(program, 2), p=np.concatenate([solve.p, np.zeros(2)]))
    parametrization = _moved_start(program, request.parametrization, t_span[0])
    x0 = np.concatenate([request.x0, np.zeros(2)])
    return replace(request, solve=wide, parametrization=parametrization, x0=x0, observe=observe)


def _part(builder, node, start, length, is_number=False):
    part = builder.add("slice", (node,), ((start,), (length,), (1,)))
    return builder.add("reshape", (part,), ((),)) if is_number else part


def _moved_start(program: Program, parametrization: Program, t0: float) -> Program:
    """``x, moves -> u0, p`` with the initial state carried back to ``t0``."""
    (k,) = parametrization.inputs[0].shape
    builder = ProgramBuilder()
    x = builder.add_input("x", (k + 2,))
    u0, p = inline_program(builder, parametrization, [_part(builder, x, 0, k)])
    (slope,) = inline_program(builder, program, [builder.constant(t0), u0, p])
    step = builder.add("mul", (_part(builder, x, k, 1, is_number=True), slope))
    wide = builder.add("concatenate", (p, _part(builder, x, k, 2)), (0,))
    return builder.build([("u0", builder.add("sub", (u0, step))), ("p", wide)])


def _moved_observables(program: Program, observe: Program | None, t_span) -> Program:
    """What is measured of a state, moved along the solution at an end of the span."""
    (n,), (m,) = program.inputs[1].shape, program.inputs[2].shape
    builder = ProgramBuilder()
    t, u, wide = builder.add_input("t", ()), builder.add_input("u", (n,)), builder.add_input("p", (m + 2,))
    p, zero, move = _part(builder, wide, 0, m), builder.constant(0.0), builder.constant(0.0)
    for k, end in enumerate(t_span):
        is_there = builder.add("equal", (t, builder.constant(float(end))))
        moved = builder.add("where", (is_there, _part(builder, wide, m + k, 1, is_number=True), zero))
        move = builder.add("add", (move, moved))
    (slope,) = inline_program(builder, program, [t, u, p])
    state = builder.add("add", (u, builder.add("mul", (move, slope))))
    if observe is None:
        return simplify_program(builder.build([("y", state)]))
    (y,) = inline_program(builder, observe, [builder.add("add", (t, move)), state, p])
    return simplify_program(builder.build([("y", y)]))
