"""What events leave in a Dataset: their times, and parameters that change along a solution."""

import numpy as np

from ..engines.base import Firings, RawSolution
from ..problems.flat import FlatEvent, changed_parameters, event_times
from ..problems.ode import ODEProblem
from .attrs import variable_attrs


def event_variables(firings: Firings, problem: ODEProblem, events: tuple[FlatEvent, ...]) -> dict:
    """``<name>_time (name,)`` of each event, as numbers or dates."""
    unit = {"units": problem.units["time"]} if problem.calendar is None and "time" in problem.units else {}
    variables = {}
    for name, times in event_times(problem, events, firings.event, firings.t).items():
        shown = times if problem.calendar is None else problem.calendar.to_dates(times)
        variables[f"{name}_time"] = ((name,), shown, {"long_name": f"time of {name.replace('_', ' ')}"} | unit)
    return variables


def changed_coords(raw: RawSolution, problem: ODEProblem, events: tuple[FlatEvent, ...]) -> dict:
    """Each parameter that some event may change, as a coordinate ``(time, *own dims)``."""
    changed = changed_parameters(events)
    changed = changed[changed < problem.p_values.size]  # the others are hidden
    if not len(changed):
        return {}
    rows = parameter_rows(raw, problem.p_values[changed], events)
    coords = {}
    for entry in problem.p_layout.entries:
        columns = (changed >= entry.start) & (changed < entry.start + entry.size)
        if columns.any():
            values = rows[:, columns].reshape(len(raw.t), *entry.shape)
            attrs = variable_attrs(entry.name, problem.units, problem.long_names)
            coords[entry.name] = (("time", *problem.dims[entry.name]), values, attrs)
    return coords


def all_parameters(raw: RawSolution, p: np.ndarray, events: tuple[FlatEvent, ...]) -> np.ndarray:
    """The parameters ``(m,)`` along a solution: ``(time, m)`` where some event may change one."""
    changed = changed_parameters(events)
    changed = changed[changed < p.size]  # the others are hidden
    if raw.firings is None or not len(changed):
        return p
    rows = np.tile(p, (len(raw.t), 1))
    rows[:, changed] = parameter_rows(raw, p[changed], events)
    return rows


def parameter_rows(raw: RawSolution, start: np.ndarray, events: tuple[FlatEvent, ...]) -> np.ndarray:
    """The changed parameters ``(time, c)`` at a solution's rows; ``start (c,)`` are their values at the beginning."""
    firings = raw.firings
    count = np.searchsorted(firings.t, raw.t, side="right")  # firings that a row has behind it
    for k, event in enumerate(firings.event):
        if events[event].is_before:
            at_once = raw.t == firings.t[k]
            count[at_once] = np.minimum(count[at_once], k)
    return np.concatenate([start[None], firings.p[:, : len(start)]])[count]
