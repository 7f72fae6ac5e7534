"""Multiple shooting: an objective cut into segments with starts of their own."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program


class Segment(NamedTuple):
    """Rows ``first`` to ``last`` of the data, the last being the next segment's first, unless there is none."""

    first: int
    last: int
    is_last: bool


def cut(n_times: int, group_size: int) -> list[Segment]:
    """Segments of ``group_size`` times each; a rest of one time goes to the segment before."""
    firsts = list(range(0, n_times, group_size))
    if len(firsts) > 1 and n_times - firsts[-1] < 2:
        firsts.pop()
    ends = [*firsts[1:], n_times - 1]
    return [
        Segment(first, last, k == len(firsts) - 1) for k, (first, last) in enumerate(zip(firsts, ends, strict=True))
    ]


def segment_parametrization(
    parametrization: Program, n_states: int, scales: np.ndarray, has_start: bool, has_next: bool
) -> Program:
    """``u0, p`` of a segment, of x with its scaled start (if it ``has_start``) and that of the next behind it.

    The start of the next is put behind the parameters, where ``end_gap`` sees it.
    """
    (k,) = parametrization.inputs[0].shape
    builder = ProgramBuilder()
    x = builder.add_input("x", (k + n_states * (has_start + has_next),))
    u0, p = inline_program(builder, parametrization, [builder.add("slice", (x,), ((0,), (k,), (1,)))])

    def state(place):
        part = builder.add("slice", (x,), ((k + place * n_states,), (n_states,), (1,)))
        return builder.add("mul", (builder.constant(scales), part))

    start = state(0) if has_start else u0
    if has_next:
        p = builder.add("concatenate", (p, state(int(has_start))), (0,))
    return simplify_program(builder.build([("u0", start), ("p", p)]))


def of_first(penalty: Program, size: int) -> Program:
    """A Program of x as one of an x of another ``size`` that begins with it."""
    builder = ProgramBuilder()
    first = builder.add("slice", (builder.add_input("x", (size,)),), ((0,), penalty.inputs[0].shape, (1,)))
    (value,) = inline_program(builder, penalty, [first])
    return simplify_program(builder.build([(penalty.outputs[0].name, value)]))


def begin_at(part, segment: Segment, start: np.ndarray):
    """The objective of one segment that begins at known states ``(state,)``, from that of the whole span."""
    rows, solve = slice(segment.first, segment.last + 1), part.solve
    times, weights, parametrization = solve.saveat[rows], part.weights[rows].copy(), part.parametrization
    begin = solve.t_span[0]
    if segment.first:
        begin, weights[0] = float(times[0]), 0.0  # that datum is the end of the segment before
        builder = ProgramBuilder(parametrization.inputs)
        _, p = inline_program(builder, parametrization, [0])
        parametrization = simplify_program(builder.build([("u0", builder.constant(start)), ("p", p)]))
    end = float(times[-1]) if times[-1] > begin else solve.t_span[1]
    solve = replace(solve, t_span=(begin, end), saveat=times)
    return replace(part, solve=solve, parametrization=parametrization, values=part.values[rows], weights=weights)


def end_gap(program: Program, observe: Program | None, scales: np.ndarray) -> Program:
    """What is measured, and behind it the scaled distance of the state from the start of the next segment."""
    (n,), (m,) = program.inputs[1].shape, program.inputs[2].shape
    builder = ProgramBuilder()
    t, u, wide = builder.add_input("t", ()), builder.add_input("u", (n,)), builder.add_input("p", (m + n,))
    p, start = (builder.add("slice", (wide,), ((a,), (b,), (1,))) for a, b in ((0, m), (m, n)))
    y = u if observe is None else inline_program(builder, observe, [t, u, p])[0]
    gap = builder.add("mul", (builder.constant(1.0 / scales), builder.add("sub", (u, start))))
    return simplify_program(builder.build([("y", builder.add("concatenate", (y, gap), (0,)))]))


def widen(part, widened: Program, segment: Segment, parametrization: Program, observe, continuity: float):
    """The objective of one segment, from that of the whole span."""
    rows = slice(segment.first, segment.last + 1)
    solve, n = part.solve, part.solve.u0.size
    times, values, weights = solve.saveat[rows], part.values[rows], part.weights[rows].copy()
    p = solve.p
    if not segment.is_last:
        weights[-1] = 0.0  # that datum is the next segment's
        at_end = np.zeros((len(times), n))
        at_end[-1] = continuity
        values, weights = np.hstack([values, np.zeros_like(at_end)]), np.hstack([weights, at_end])
        p = np.concatenate([p, np.zeros(n)])
    start = solve.t_span[0] if segment.first == 0 else float(times[0])
    end = float(times[-1]) if times[-1] > start else solve.t_span[1]
    solve = replace(
        solve, program=solve.program if segment.is_last else widened, p=p, t_span=(start, end), saveat=times
    )
    x0 = np.zeros(parametrization.inputs[0].shape)
    return replace(
        part, solve=solve, parametrization=parametrization, x0=x0, values=values, weights=weights, observe=observe
    )
