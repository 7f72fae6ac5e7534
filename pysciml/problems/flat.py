"""A problem's events as engines get them: flat vectors and Programs, no names.

An infusion is a rate that its schedule switches on and off. The rates are hidden parameters at the end of ``p``, which
the schedule's own events set, so that a solver steps onto each switch and sees a smooth right-hand side between them.
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import ProblemError
from ..ir.program import Program
from .doses import Table, add_rates, dose_program, widen_parameters
from .events import Every, TracedEvent
from .schedule import Schedule
from .times import read_times

MOST_TIMES = 1_000_000
NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class FlatEvent:
    """An event without names.

    ``condition`` takes ``t (), u (n,), p (m,)`` and gives ``value ()``; ``times`` are increasing floats in
    ``[start, end)``: one of the two is there. ``effect`` takes the same, and ``row (k,)`` where there are ``rows``
    ``(times, k)``; its outputs ``u`` and ``p`` (either may be missing) are what the elements ``u_index`` and
    ``p_index`` become. ``owner`` is the position of the event of the problem that this one reports for, or None.
    """

    condition: Program | None = None
    effect: Program | None = None
    times: np.ndarray | None = None
    rows: np.ndarray | None = None
    u_index: np.ndarray = field(default_factory=lambda: NOTHING)
    p_index: np.ndarray = field(default_factory=lambda: NOTHING)
    terminal: bool = False
    direction: int = 0
    is_before: bool = False
    owner: int | None = None


def event_structure(event: FlatEvent) -> tuple:
    """What an event does, whenever and with whatever numbers of a table: of one structure, one gradient is checked."""
    programs = (None if program is None else program.hash for program in (event.condition, event.effect))
    indices = event.u_index.tobytes(), event.p_index.tobytes()
    return (*programs, *indices, event.terminal, event.direction, event.is_before)


@dataclass(frozen=True, eq=False)
class FlatModel:
    """The right-hand side, the parameters with the hidden ones behind them, and the events in their order."""

    program: Program
    p: np.ndarray
    events: tuple[FlatEvent, ...] = ()


def flatten_model(problem, saveat: np.ndarray | None = None) -> FlatModel:
    """What an engine gets of a problem; event times that equal a save time but for rounding are moved onto it."""
    if not problem.events:
        return FlatModel(problem.program, problem.p_values)
    infusions = _infusions(problem)
    times = {k: _read_event_times(problem, event) for k, event in enumerate(problem.events)}
    snap = _Snap(problem.span, saveat, np.concatenate([np.zeros(0), *times.values()]))
    events, hidden = [], np.zeros(len(infusions))
    for k, event in enumerate(problem.events):
        if isinstance(event, TracedEvent):
            events.append(_flatten_event(problem, event, k, len(infusions), snap.inside(times[k])))
        else:
            table = Table(event, snap(times[k]), problem.u_layout)
            places = [place for place, (owner, _) in enumerate(infusions) if owner == k]
            hidden[places] = table.rates(problem.span[0], is_before=True)
            events += _flatten_table(problem, table, snap, k, places, len(infusions))
    entries = tuple(problem.u_layout[state] for _, state in infusions)
    program = add_rates(problem.program, entries) if entries else problem.program
    return FlatModel(program, np.concatenate([problem.p_values, hidden]), tuple(events))


def event_times(problem, flat: tuple[FlatEvent, ...], fired: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """Times of firings by name of the event; ``fired (k,)`` are positions in ``flat``, ``times (k,)`` when that was."""
    owners = np.array([-1 if event.owner is None else event.owner for event in flat], dtype=np.int64)[fired]
    return {event.name: times[owners == k] for k, event in enumerate(problem.events)}


def changed_parameters(events: tuple[FlatEvent, ...]) -> np.ndarray:
    """Which elements of the parameters events may change, increasing."""
    return np.unique(np.concatenate([NOTHING, *(event.p_index for event in events)]))


def _infusions(problem) -> list[tuple[int, str]]:
    """Position of the schedule and name of the state, one a hidden parameter."""
    return [
        (k, state)
        for k, event in enumerate(problem.events)
        if isinstance(event, Schedule)
        for state in Table(event, _table_times(problem, event), problem.u_layout).infused
    ]


def _flatten_event(problem, event: TracedEvent, owner, n_hidden, times) -> FlatEvent:
    condition, effect = (
        program if program is None or not n_hidden else widen_parameters(program, n_hidden)
        for program in (event.condition, event.effect)
    )
    return FlatEvent(
        condition=condition,
        effect=effect,
        times=None if event.times is None else times,
        u_index=_indices(problem.u_layout, event.changed),
        p_index=_indices(problem.p_layout, event.changed),
        terminal=event.terminal,
        direction=event.direction,
        is_before=event.sample == "before",
        owner=owner,
    )


def _flatten_table(problem, table: Table, snap, owner, places, n_hidden) -> list[FlatEvent]:
    """The doses of a schedule, and apart from them the ends of infusions, which report nothing."""
    doses = snap.inside(table.start)
    ends = np.setdiff1d(snap.inside(table.end[table.is_infusion]), doses)
    n, m = problem.u_layout.size, problem.p_layout.size
    entries = tuple(problem.u_layout[state] for state in table.dosed)
    program = dose_program(n, m + n_hidden, entries, len(places))
    u_index, p_index = _indices(problem.u_layout, table.dosed), m + np.array(places, dtype=np.int64)
    return [
        FlatEvent(None, program, times, np.array([table.row(t) for t in times]), u_index, p_index, owner=reports)
        for times, reports in ((doses, owner), (ends, None))
        if len(times)
    ]


def _indices(layout, changed) -> np.ndarray:
    """Places of named values in their flat vector."""
    parts = [np.arange(e.start, e.start + e.size) for e in layout.entries if e.name in changed]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _read_event_times(problem, event) -> np.ndarray:
    """An event's times as floats, of ``every`` those up to the end of the span; starts, then ends of a schedule."""
    if isinstance(event, Schedule):
        return _table_times(problem, event)
    if event.times is None:
        return np.zeros(0)
    if not isinstance(event.times, Every):
        return read_times(f"times of event {event.name!r}", event.times, problem.calendar)
    (start, end), dt = problem.span, event.times.dt
    first = start if event.times.start is None else event.times.start
    skipped = max(0.0, np.floor((start - first) / dt))
    count = max(0.0, np.ceil((end - first) / dt) - skipped + 1)
    if count > MOST_TIMES:
        raise ProblemError(f"event {event.name!r}: every({dt:g}) makes {count:.3g} times in t_span {problem.t_span}")
    return first + dt * (skipped + np.arange(int(count)))


def _table_times(problem, schedule: Schedule) -> np.ndarray:
    start = read_times(f"time of Schedule {schedule.name!r}", schedule.time, problem.calendar)
    return np.concatenate([start, start + schedule.duration])


class _Snap:
    """Times that differ by rounding only become one: an end of the span, a save time, or the first of them."""

    def __init__(self, span, saveat, times):
        self.span = span
        tolerance = 16 * np.finfo(float).eps * max(abs(span[0]), abs(span[1]))
        saveat = np.zeros(0) if saveat is None else saveat
        values = np.concatenate([span, saveat, times])
        rank = np.repeat([0, 1, 2], [2, len(saveat), len(times)])
        order = np.lexsort((rank, values))
        self.values = values[order]
        group = np.concatenate([[0], np.cumsum(np.diff(self.values) > tolerance)])
        best = np.lexsort((self.values, rank[order], group))  # the first of a group in this order stands for it
        firsts = best[np.unique(group[best], return_index=True)[1]]
        self.represented = self.values[firsts][group]

    def __call__(self, times: np.ndarray) -> np.ndarray:
        return self.represented[np.searchsorted(self.values, times)]

    def inside(self, times: np.ndarray) -> np.ndarray:
        """Those in ``[start, end)``, increasing."""
        times = np.unique(self(times))
        return times[(times >= self.span[0]) & (times < self.span[1])]
