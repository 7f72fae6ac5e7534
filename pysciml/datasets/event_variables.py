"""What events leave in a Dataset: their times, and parameters that change along a solution."""

import numpy as np

from ..engines.base import EnsembleFirings, Firings, RawSolution
from ..problems.batch import Batch
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


def ensemble_event_variables(firings: EnsembleFirings, batch: Batch, events: tuple[FlatEvent, ...]) -> dict:
    """``<name>_time (*batch dims, name)`` of each event, NaN behind the last."""
    found = event_rows(firings, batch.problem, events, batch.size)
    return {f"{name}_time": _event_variable(times, batch, name, (name,), "time of") for name, times in found.items()}


def event_rows(
    firings: EnsembleFirings, problem: ODEProblem, events: tuple[FlatEvent, ...], size: int
) -> dict[str, np.ndarray]:
    """Times of each event in ``size`` members, by its name ``(member, firing)``, NaN behind a member's last."""
    found = {}
    for name, (member, t) in _by_name(firings, problem, events).items():
        count = np.bincount(member, minlength=size)
        found[name] = np.full((size, int(count.max(initial=0))), np.nan)
        found[name][member, np.arange(len(t)) - np.repeat(np.cumsum(count) - count, count)] = t
    return found


def event_statistics(firings: EnsembleFirings, batch: Batch, events: tuple[FlatEvent, ...], size: int) -> np.ndarray:
    """How often each event fired in each of ``size`` members, and when first and last: ``(member, event, 3)``."""
    found = np.full((size, len(batch.problem.events), 3), np.nan)
    for k, (member, t) in enumerate(_by_name(firings, batch.problem, events).values()):
        found[:, k, 0] = np.bincount(member, minlength=size)
        found[member[::-1], k, 1], found[member, k, 2] = t[::-1], t
    return found


def event_statistics_variables(found: np.ndarray, batch: Batch) -> dict:
    """``<name>_count``, ``<name>_first`` and ``<name>_last (*batch dims)`` of such statistics."""
    variables = {}
    for k, event in enumerate(batch.problem.events):
        count, long_name = np.nan_to_num(found[:, k, 0]).astype(np.int64), event.name.replace("_", " ")
        attrs = {"long_name": f"number of {long_name}"}
        variables[f"{event.name}_count"] = (batch.over.dims, count.reshape(batch.shape), attrs)
        for word, place in (("first", 1), ("last", 2)):
            values = _event_variable(found[:, k, place], batch, event.name, (), f"time of {word}")
            variables[f"{event.name}_{word}"] = values
    return variables


def _by_name(firings, problem, events):
    """Members and times of the firings of each event of the problem, by its name."""
    places = np.arange(len(firings.t))
    chosen = event_times(problem, events, firings.event, places)
    return {name: (firings.member[k], firings.t[k]) for name, k in chosen.items()}


def _event_variable(times, batch, name, dims, what):
    """Times on the batch dims, and dims behind them."""
    values = show_event_times(times, batch.problem)
    attrs = event_attrs(batch.problem, name, what)
    return (*batch.over.dims, *dims), values.reshape(*batch.shape, *values.shape[1:]), attrs


def show_event_times(times: np.ndarray, problem: ODEProblem) -> np.ndarray:
    """Times, NaN where there is none, as dates where these can be missing, else as they are."""
    if not _are_dates(problem):
        return times
    is_there, values = np.isfinite(times), np.full(times.shape, np.datetime64("NaT", "ns"))
    values[is_there] = problem.calendar.to_dates(times[is_there])
    return values


def event_attrs(problem: ODEProblem, name: str, what: str) -> dict[str, str]:
    """What such a variable says of itself; ``what`` is its first words."""
    long_name, unit = f"{what} {name.replace('_', ' ')}", problem.units.get("time")
    if _are_dates(problem):
        return {"long_name": long_name}
    since = "" if problem.calendar is None else f", since {problem.t_span[0]}"
    return {"long_name": long_name + since} | ({} if unit is None else {"units": unit})


def _are_dates(problem):
    """Not of cftime, nor before 1678 or after 2261: xarray can't write or read missing ones of these."""
    return problem.calendar is not None and problem.calendar.resolution == "ns"


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
