"""Events: what a problem does at moments that are given, or that the solution itself brings about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError, TraceError
from ..ir.program import Program
from ..ir.simplify import simplify_program
from ..tracing.effects import trace_condition, trace_effect
from ..tracing.layout import Layout
from ..words import nearest
from .names import check_name
from .schedule import Schedule
from .times import Calendar, read_shown_times

SAMPLES = ("after", "before")


@dataclass(frozen=True)
class Every:
    """Times ``start, start + dt, ...``; ``start`` None is the start of the span. Made by :func:`every`."""

    dt: float
    start: float | None = None


def every(dt: float, *, start: float | None = None) -> Every:
    """Return times a step apart, for ``Event(times=...)``.

    Parameters
    ----------
    dt : float
        The step, in the unit of time.
    start : float, optional
        The first time, as the problem's ``t`` counts it. None: the start of ``t_span``, at which the event then fires.

    Returns
    -------
    Every

    Raises
    ------
    ProblemError
        If ``dt`` isn't a positive number, or ``start`` not a finite one.

    Examples
    --------
    >>> import pysciml as ps
    >>> dose = ps.Event(None, lambda t, u, p: {"x": u.x + 1.0}, times=ps.every(2.0))
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -u.x}, {"x": 0.0}, (0, 5), events=[dose])
    >>> ps.solve(problem, saveat=[5.0], engine="diffrax").event_0_time.values
    array([0., 2., 4.])
    """
    if not _is_number(dt) or not 0 < dt < np.inf:
        raise ProblemError(f"every: dt must be a positive number in the unit of time, got {dt!r}")
    if start is not None and not (_is_number(start) and np.isfinite(start)):
        raise ProblemError(f"every: start must be a finite number, a time as the model's t counts it, got {start!r}")
    return Every(float(dt), None if start is None else float(start))


def _is_number(value):
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


@dataclass(frozen=True, eq=False, init=False)
class Event:
    """Something that happens at moments in a solve: at given times, or where a function of the state changes its sign.

    Parameters
    ----------
    condition : callable, optional
        ``condition(t, u, p) -> float``, traced like the model: the event fires where it changes its sign.
    effect : callable, optional
        ``effect(t, u, p) -> {name: new value}``, traced: states and parameters that change, by name, and no others. It
        sees the values that the events before it have left. None: the event only leaves its time.
    times : array_like or Every, optional
        In the place of a condition: times ``(k,)``, numbers or dates, or ``ps.every(dt)``. Those in ``[start, end)`` of
        the span fire, the start included.
    terminal : bool, default False
        The solve ends here, after the effect.
    direction : {0, 1, -1}, default 0
        Which changes of sign count: all, only upward ones, only downward ones.
    name : str, optional
        Its times come back as ``<name>_time``, on a dimension ``<name>``; ``event_<k>`` for the k-th where left out.
    sample : {"after", "before"}, default "after"
        What a row at the event's own time holds: the state after the effect, or before it.

    Raises
    ------
    ProblemError
        For arguments that can't be. The functions are traced when a problem is made of the event.

    Notes
    -----
    Several events at one moment fire in the order of ``events=``, each on what the one before left; a row there holds
    the state just before the first of them that says ``sample="before"``, and the last state if none does.

    A change of sign is looked for at several points of each step, and then located on the step's interpolant to the
    last bits of time. Two changes between two of these points (a graze, a pulse) leave the sign as it was and are not
    found; ``dtmax`` makes the steps shorter. A jump by an effect that carries a condition past zero fires nothing, and
    a condition that is zero at the start fires when it is zero again.

    Firings in ever shorter intervals (a ball that comes to rest) pile up at a moment that they never reach, and the
    model does not say what comes then: the solve ends there with the status ``ZENO``. A ``terminal`` event before that
    moment, or an effect that changes the model (``p.is_resting``), says it.

    Examples
    --------
    >>> import pysciml as ps
    >>> bounce = ps.Event(lambda t, u, p: u.h, lambda t, u, p: {"v": -0.5 * u.v}, direction=-1, name="bounce")
    >>> fall = lambda t, u, p: {"h": u.v, "v": -9.81}
    >>> ball = ps.ODEProblem(fall, {"h": 0.0, "v": 9.81}, (0, 3.4), events=[bounce])
    >>> ps.solve(ball, saveat=[3.4], engine="diffrax").bounce_time.values.round(6)
    array([2., 3.])
    """

    condition: Callable | None
    effect: Callable | None
    times: object
    terminal: bool
    direction: int
    name: str | None
    sample: str

    def __init__(
        self,
        condition: Callable | None = None,
        effect: Callable | None = None,
        *,
        times=None,
        terminal: bool = False,
        direction: int = 0,
        name: str | None = None,
        sample: str = "after",
    ):
        _check_functions(condition, effect, times)
        if not isinstance(terminal, bool | np.bool_):
            raise ProblemError(f"Event: terminal must be True or False, got {terminal!r}")
        if isinstance(direction, bool) or direction not in (-1, 0, 1):
            raise ProblemError(f"Event: direction must be 1 (upward), -1 (downward) or 0 (both), got {direction!r}")
        if condition is None and direction:
            raise ProblemError("Event: direction belongs to a condition; times have none")
        if sample not in SAMPLES:
            raise ProblemError(f"Event: sample must be 'after' or 'before', got {sample!r}{nearest(sample, SAMPLES)}")
        if name is not None:
            check_name("event", name)
        values = (condition, effect, times, bool(terminal), int(direction), name, sample)
        for field, value in zip(type(self).__dataclass_fields__, values, strict=True):
            object.__setattr__(self, field, value)


def _check_functions(condition, effect, times):
    if (condition is None) == (times is None):
        word = "both" if times is not None else "neither"
        raise ProblemError(f"Event: give a condition or times=, got {word}")
    for word, function in (("condition", condition), ("effect", effect)):
        if function is not None and not callable(function):
            raise ProblemError(f"Event: {word} must be a function (t, u, p), got {function!r}")


@dataclass(frozen=True, eq=False)
class TracedEvent:
    """An event as part of a problem: Programs in the place of functions, and a name.

    ``changed`` are the states and parameters that the effect's outputs hold (``tracing.effects.Effect``). ``times`` are
    floats, or dates as the problem's calendar has them.
    """

    name: str
    condition: Program | None
    effect: Program | None
    changed: tuple[str, ...]
    times: Every | np.ndarray | None
    terminal: bool
    direction: int
    sample: str

    def _key(self):
        times = tuple(self.times.tolist()) if isinstance(self.times, np.ndarray) else self.times
        return (*(getattr(self, key) for key in self.__dataclass_fields__ if key != "times"), times)

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, TracedEvent) else NotImplemented

    def __hash__(self):
        return hash(self._key())


ProblemEvent = TracedEvent | Schedule


def read_events(events, u_layout: Layout, p_layout: Layout, names, calendar: Calendar | None):
    """The events of a problem, traced and named; ProblemError or TraceError for what can't be.

    ``names`` are those that are taken: states, parameters, dims and coordinates.
    """
    if isinstance(events, Event | Schedule | TracedEvent):
        events = (events,)
    if events is None or isinstance(events, str | Mapping) or not isinstance(events, Sequence):
        raise ProblemError(f"events must be a list of ps.Event and ps.Schedule, got {events!r}")
    read, taken = [], set(names)
    for k, event in enumerate(events):
        if not isinstance(event, Event | Schedule | TracedEvent):
            raise ProblemError(f"events[{k}] must be a ps.Event or a ps.Schedule, got {event!r}")
        name = event.name or f"event_{k}"
        for word in (name, f"{name}_time"):
            if word in taken:
                raise ProblemError(f"events[{k}]: the name {word!r} is taken; give the event another: name=...")
            taken.add(word)
        if isinstance(event, Schedule):
            read.append(event.on_problem(u_layout, calendar))
        else:
            read.append(event if isinstance(event, TracedEvent) else _trace(event, name, u_layout, p_layout, calendar))
    return tuple(read)


def _trace(event: Event, name, u_layout, p_layout, calendar) -> TracedEvent:
    condition, effect, changed, times = None, None, (), event.times
    if event.condition is not None:
        with_name = _naming(name, "condition")
        condition = simplify_program(with_name(trace_condition, event.condition, u_layout, p_layout))
    if event.effect is not None:
        traced = _naming(name, "effect")(trace_effect, event.effect, u_layout, p_layout)
        effect, changed = simplify_program(traced.program), traced.changed
    if times is not None and not isinstance(times, Every):
        times = read_shown_times(f"times of event {name!r}", np.atleast_1d(times), calendar)[1]
    return TracedEvent(name, condition, effect, changed, times, event.terminal, event.direction, event.sample)


def _naming(name, part):
    """A caller that says which event's function it was that can't be traced."""

    def call(trace, *arguments):
        try:
            return trace(*arguments)
        except TraceError as error:
            raise TraceError(f"{part} of event {name!r}: {error}") from error

    return call
