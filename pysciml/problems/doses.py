"""A schedule's rows as numbers by time, and the Programs that turn them into doses and infusions."""

from functools import lru_cache

import numpy as np

from ..ir.program import Input, Program, ProgramBuilder
from ..ir.simplify import simplify_program
from ..tracing.layout import Entry, Layout
from .schedule import Schedule


class Table:
    """A schedule's rows by time: for each dosed state a factor and a shift, and for each infused one its rate.

    ``times`` are the starts of all rows, then their ends.
    """

    def __init__(self, schedule: Schedule, times: np.ndarray, u_layout: Layout):
        self.schedule = schedule
        self.start, self.end = times.reshape(2, -1)
        self.is_infusion = schedule.duration > 0
        at_once = {s for s, is_infusion in zip(schedule.state, self.is_infusion, strict=True) if not is_infusion}
        spread = {s for s, is_infusion in zip(schedule.state, self.is_infusion, strict=True) if is_infusion}
        self.dosed = [state for state in u_layout.names if state in at_once]
        self.infused = [state for state in u_layout.names if state in spread]

    def rates(self, t: float, is_before: bool = False) -> np.ndarray:
        """Rates of the infused states from ``t`` on, or just before it."""
        runs = (self.start < t) & (self.end >= t) if is_before else (self.start <= t) & (self.end > t)
        total = np.zeros(len(self.infused))
        for k in np.flatnonzero(runs & self.is_infusion):
            rate = self.schedule.amount[k] / self.schedule.duration[k]
            total[self.infused.index(self.schedule.state[k])] += rate
        return total

    def row(self, t: float) -> np.ndarray:
        """Factors, shifts, rates at a time; doses of one time act in the order of the table."""
        factor, shift = np.ones(len(self.dosed)), np.zeros(len(self.dosed))
        for k in np.flatnonzero((self.start == t) & ~self.is_infusion):
            place, amount = self.dosed.index(self.schedule.state[k]), self.schedule.amount[k]
            if self.schedule.method[k] == "add":
                shift[place] += amount
            elif self.schedule.method[k] == "multiply":
                factor[place], shift[place] = factor[place] * amount, shift[place] * amount
            else:
                factor[place], shift[place] = 0.0, amount
        return np.concatenate([factor, shift, self.rates(t)])


@lru_cache(maxsize=64)
def dose_program(n: int, m: int, entries: tuple[Entry, ...], n_rates: int) -> Program:
    """Inputs ``t, u (n,), p (m,), row``: new values of the dosed states, factor * u + shift, and the rates."""
    n_row = 2 * len(entries) + n_rates
    builder = ProgramBuilder([Input("t", ()), Input("u", (n,)), Input("p", (m,)), Input("row", (n_row,))])
    outputs, parts = [], []
    for k, entry in enumerate(entries):
        factor, shift = (_slice(builder, 3, place, 1) for place in (k, len(entries) + k))
        product = builder.add("mul", (_slice(builder, 1, entry.start, entry.size), factor))
        parts.append(builder.add("add", (product, shift)))
    if parts:
        outputs.append(("u", parts[0] if len(parts) == 1 else builder.add("concatenate", tuple(parts), (0,))))
    if n_rates:
        outputs.append(("p", _slice(builder, 3, n_row - n_rates, n_rates)))
    return simplify_program(builder.build(outputs))


@lru_cache(maxsize=64)
def add_rates(program: Program, entries: tuple[Entry, ...]) -> Program:
    """A right-hand side with one more parameter a state of ``entries``, which is added to its derivative."""
    wide = widen_parameters(program, len(entries))
    builder, (du,) = _copy(wide)
    (p,) = (k for k, node in enumerate(builder.nodes) if node.op == "input" and node.attrs[0] == 2)
    m = builder.nodes[p].size
    for k, entry in enumerate(entries):
        rate = _slice(builder, p, m - len(entries) + k, 1)
        value = builder.add("add", (_slice(builder, du, entry.start, entry.size), rate))
        du = builder.add("update", (du, value), ((entry.start,), (entry.size,), (1,)))
    return simplify_program(builder.build([("du", du)]))


def hold_rates(parametrization: Program, rates: np.ndarray) -> Program:
    """``x -> u0, p`` with constants behind the parameters."""
    if not rates.size:
        return parametrization
    builder, (u0, p) = _copy(parametrization)
    return builder.build([("u0", u0), ("p", builder.add("concatenate", (p, builder.constant(rates)), (0,)))])


def _slice(builder: ProgramBuilder, node: int, start: int, size: int) -> int:
    return builder.add("slice", (node,), ((start,), (size,), (1,)))


@lru_cache(maxsize=256)
def widen_parameters(program: Program, n_more: int) -> Program:
    """The same function of a parameter vector with ``n_more`` elements at its end, which it does not look at."""
    builder, outputs = _copy(program, n_more)
    return builder.build((output.name, node) for output, node in zip(program.outputs, outputs, strict=True))


def _copy(program: Program, n_more: int = 0) -> tuple[ProgramBuilder, list[int]]:
    """A builder that holds a Program, the parameters widened, and where its outputs are."""
    builder, new = ProgramBuilder(), []
    for node in program.nodes:
        if node.op == "input":
            item = program.inputs[node.attrs[0]]
            size = item.shape[0] + n_more if item.name == "p" else 0
            position = builder.add_input(item.name, (size,) if size else item.shape)
            is_wider = item.name == "p" and n_more > 0
            new.append(_slice(builder, position, 0, item.shape[0]) if is_wider else position)
        elif node.op == "constant":
            new.append(builder.constant(program.constants[node.attrs[0]]))
        else:
            new.append(builder.add(node.op, (new[i] for i in node.args), node.attrs, node.origin))
    return builder, [new[output.node] for output in program.outputs]
