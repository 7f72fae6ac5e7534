"""Events between the compiled chunks of a solve: effects act here, and each stretch after them begins anew."""

from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from ...ir.evaluate import evaluate_program
from ...problems.flat import FlatEvent, changed_parameters
from ...requests import SolveRequest
from ..base import PILE, Firings, pile_up

QUIET = 1e-12  # of the span: so long after an event its condition is zero but for rounding


@dataclass(eq=False)
class Occasions:
    """Where a solve stands with its events, and what they have done.

    Effects are few, so the oracle computes them: nothing is compiled for them.
    """

    request: SolveRequest
    is_over: bool = False
    is_zeno: bool = False  # over since firings pile up
    next: list[int] = field(default_factory=list)  # of the times of each event
    firings: list[tuple[float, int, np.ndarray]] = field(default_factory=list)
    samples: dict[float, np.ndarray] = field(default_factory=dict)  # what a row at a time holds

    def __post_init__(self):
        self.next = [0] * len(self.request.events)
        self.changed = changed_parameters(self.request.events)
        self.roots = [k for k, event in enumerate(self.request.events) if event.condition is not None]

    def start(self, arguments):
        """The solve's arguments after what fires at its start, up to its first stop."""
        if not self.request.events:
            return arguments
        t, u, p = float(arguments.t0), arguments.u0.copy(), arguments.p.copy()
        fires = self._due(t)
        self._fire(fires, t, u, p)
        return arguments._replace(u0=u, p=p, t1=self._next_stop())

    def act(self, arguments, state):
        """The arguments of the next stretch, if something fires where the last one ended; else None."""
        if not self.request.events:
            return None
        t, rooted = float(state.t), np.asarray(state.fires)
        fires = sorted({*self._due(t), *(self.roots[k] for k in np.flatnonzero(rooted))})
        if not fires:
            return None
        u, p = np.array(state.u), np.array(arguments.p)
        self._fire(fires, t, u, p)
        (start, end), fresh = self.request.t_span, np.isin(self.roots, fires)
        quiet = np.float64(t + QUIET * (end - start))
        return arguments._replace(t0=np.float64(t), u0=u, p=p, t1=self._next_stop(), fresh=fresh, quiet=quiet)

    def _due(self, t):
        """The events whose next time is ``t``."""
        times = ((k, event.times) for k, event in enumerate(self.request.events) if event.times is not None)
        return [k for k, times in times if self.next[k] < len(times) and times[self.next[k]] == t]

    def _next_stop(self):
        end = self.request.t_span[1]
        times = [event.times for event in self.request.events if event.times is not None]
        left = [all_[k] for all_, k in zip(times, self._positions(), strict=True) if k < len(all_)]
        return np.float64(min([end, *left]))

    def _positions(self):
        return [k for k, event in zip(self.next, self.request.events, strict=True) if event.times is not None]

    def _fire(self, fires, t, u, p):
        """Let events act on ``u`` and ``p`` in their order; keep what a row at this time holds."""
        sample = None
        for k in fires:
            event = self.request.events[k]
            if event.is_before and sample is None:
                sample = u.copy()
            _act(event, self.next[k], t, u, p)
            self.next[k] += 1
            self.is_over |= event.terminal
            self.firings.append((t, k, p[self.changed]))
            if event.condition is not None and self._piles_up(k):
                self.is_over = self.is_zeno = True
        if fires:
            self.samples[t] = u.copy() if sample is None else sample

    def _piles_up(self, k):
        start, end = self.request.t_span
        last = (t for t, fired, _ in reversed(self.firings) if fired == k)
        return pile_up(list(islice(last, PILE))[::-1], end - start)

    def put_samples(self, t: np.ndarray, u: np.ndarray) -> None:
        """Put the states that rows at events hold into a solution's rows."""
        for moment, sample in self.samples.items():
            row = np.searchsorted(t, moment)
            if row < len(t) and t[row] == moment:
                u[row] = sample

    def report(self) -> Firings | None:
        """What fired; None where the request has no events."""
        if not self.request.events:
            return None
        t = np.array([t for t, _, _ in self.firings])
        fired = np.array([k for _, k, _ in self.firings], dtype=np.int64)
        p = np.array([p for _, _, p in self.firings]).reshape(len(t), len(self.changed))
        return Firings(t, fired, p)


def _act(event: FlatEvent, position, t, u, p):
    if event.effect is None:
        return
    row = () if event.rows is None else (event.rows[position],)
    values = evaluate_program(event.effect, t, u, p, *row)
    places = {"u": (u, event.u_index), "p": (p, event.p_index)}
    for output, value in zip(event.effect.outputs, values, strict=True):
        vector, index = places[output.name]
        vector[index] = value
