"""Chains of updates that together write a whole array become one ``stack`` or ``concatenate``.

``du = np.zeros(3); du[0] = a; du[1] = b; du[2] = c`` is three updates of a constant: one ``stack`` of a, b, c. And
``du[1:-1] = inner; du[0] = left; du[-1] = right`` is one ``concatenate``. A chain is rewritten if its windows are
whole along all axes but one, and what they leave is part of a constant.
"""

from dataclasses import dataclass

import numpy as np

from .ops import Shape
from .program import Program, ProgramBuilder
from .rewrite import rewrite_program

_MOST_STACKED = 16  # a constant run is taken apart for a stack up to this size of the whole


@dataclass(frozen=True)
class _Chain:
    """Updates from the first to the last, on an array of ``shape``, each along ``axis`` only."""

    base: int
    updates: tuple[int, ...]
    shape: Shape
    axis: int


@dataclass(frozen=True)
class _Run:
    """Neighbours along the axis that come from one source, in steps of 1 or -1; ``source`` -1 is the base."""

    source: int
    first: int
    length: int
    step: int


def collapse_updates(program: Program) -> Program:
    """The same Program with such chains rewritten, each at its end only."""
    ends = _chain_ends(program)

    def rule(builder, position, new):
        chain = _follow_chain(program, position) if position in ends else None
        runs = _find_runs(program, chain) if chain else None
        return _write(builder, program, chain, runs, new) if runs else None

    return rewrite_program(program, rule)


def _chain_ends(program):
    """Updates that something other than the next update reads."""
    ends = {output.node for output in program.outputs}
    for node in program.nodes:
        ends.update(i for k, i in enumerate(node.args) if node.op != "update" or k != 0)
    return {i for i in ends if program.nodes[i].op == "update"}


def _is_constant(program, position):
    """Whether a node is a constant, or one number everywhere."""
    node = program.nodes[position]
    if node.op == "broadcast":
        return program.nodes[node.args[0]].op == "constant"
    return node.op == "constant"


def _follow_chain(program, end):
    """The chain that ends in a node; None if its windows aren't along one axis."""
    updates, position = [], end
    while program.nodes[position].op == "update":
        updates.append(position)
        position = program.nodes[position].args[0]
    shape = program.nodes[end].shape
    for axis in range(len(shape)):
        if all(_is_along(program.nodes[i].attrs, shape, axis) for i in updates):
            return _Chain(position, tuple(reversed(updates)), shape, axis)
    return None


def _is_along(window, shape, axis):
    """Whether a window is whole and in order along all axes but one."""
    return all(
        k == axis or (start == 0 and length == n and (step == 1 or n <= 1))
        for k, (start, length, step, n) in enumerate(zip(*window, shape, strict=True))
    )


def _find_runs(program, chain):
    """What each stretch along the axis is; None if the base is needed and isn't constant, or they are too many."""
    n, axis = chain.shape[chain.axis], chain.axis
    owner, offset = np.full(n, -1), np.arange(n)
    direction = [1]  # of the updates, then (at -1, the end) of the base
    for k, position in enumerate(chain.updates):
        (start, length, step) = (item[axis] for item in program.nodes[position].attrs)
        places = start + step * np.arange(length)
        owner[places], offset[places] = k, np.arange(length)
        direction.insert(k, 1 if step > 0 else -1)
    if n == 0 or np.any(owner == -1) and not _is_constant(program, chain.base):
        return None
    follows = (np.diff(owner) == 0) & (np.diff(offset) == np.array(direction)[owner[1:]])
    starts = np.flatnonzero(np.concatenate([[True], ~follows]))
    if len(starts) > 2 * len(chain.updates) + 1:
        return None
    lengths = np.diff(np.append(starts, n))
    return [
        _Run(int(owner[i]), int(offset[i]), int(m), direction[owner[i]]) for i, m in zip(starts, lengths, strict=True)
    ]


def _write(builder: ProgramBuilder, program, chain, runs, new):
    """The stack or concatenation; ``simplify`` removes slices of everything and the like afterwards."""
    sources = [new[program.nodes[i].args[1]] for i in chain.updates] + [new[chain.base]]
    origin = program.nodes[chain.updates[-1]].origin

    def cut(source, first, length, step):
        starts, lengths, steps = ([0] * len(chain.shape), list(chain.shape), [1] * len(chain.shape))
        starts[chain.axis], lengths[chain.axis], steps[chain.axis] = first, length, step
        return builder.add("slice", (sources[source],), (tuple(starts), tuple(lengths), tuple(steps)), origin)

    single = all(run.length == 1 or run.source == -1 for run in runs)
    short = chain.shape[chain.axis] <= _MOST_STACKED or all(run.length == 1 for run in runs)
    if chain.axis == 0 and single and short:
        rest = chain.shape[1:]
        parts = [cut(run.source, run.first + k, 1, 1) for run in runs for k in range(run.length)]
        return builder.add("stack", [builder.add("reshape", (i,), (rest,), origin) for i in parts], (), origin)
    parts = [cut(run.source, run.first, run.length, run.step) for run in runs]
    return builder.add("concatenate", parts, (chain.axis,), origin)
